// SPDX-License-Identifier: Apache-2.0
// A TCG plugin for qemu-user: counts the instructions that the guest's first thread executes, and appends the
// count so far, one decimal line, each time that thread writes to its standard output. README.md says how.
//
// Debian packages no qemu-plugin.h. These are the few declarations used, of version 1 of QEMU's plugin interface
// (docs/devel/tcg-plugins.rst in QEMU's sources).
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info qemu_info_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu, void *userdata);
typedef void (*qemu_plugin_vcpu_syscall_cb_t)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                                              uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6,
                                              uint64_t a7, uint64_t a8);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_vcpu_udata_cb_t callback,
                                          enum qemu_plugin_cb_flags flags, void *userdata);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_syscall_cb_t callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = 1;

static const unsigned int kFirstThread = 0;
static const int64_t kWrite = 64;  // of aarch64 Linux

static uint64_t executed;  // by the first thread, which alone changes it
static int counts = -1;

static void count_block(unsigned int vcpu, void *instructions) {
  if (vcpu == kFirstThread) executed += (uintptr_t)instructions;
}

static void watch_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, count_block, QEMU_PLUGIN_CB_NO_REGS, instructions);
}

static void note_write(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t file, uint64_t a2, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (vcpu != kFirstThread || number != kWrite || file != STDOUT_FILENO) return;
  dprintf(counts, "%" PRIu64 "\n", executed);
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
  (void)info;
  static const char kCounts[] = "counts=";
  for (int at = 0; at < count; ++at) {
    if (strncmp(arguments[at], kCounts, sizeof kCounts - 1) != 0) {
      fprintf(stderr, "insn: unknown argument %s; expected counts=FILE\n", arguments[at]);
      return 1;
    }
    counts = open(arguments[at] + sizeof kCounts - 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  if (counts < 0) {
    fprintf(stderr, "insn: no file for the counts can be opened; expected counts=FILE\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, watch_block);
  qemu_plugin_register_vcpu_syscall_cb(id, note_write);
  return 0;
}
