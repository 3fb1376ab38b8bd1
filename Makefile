# make demo | make test | make check | make bench | make protos | make board-runner | make agent-wheel | make agent-deb   (ARCH=aarch64|x86_64)
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
RUNNER = $(VENV)/bin/edge-runner
# Counts instructions on emulated boards; loaded by QEMU, never by a board.
INSN = $(VENV)/lib/edgectl/insn.so
RUNNER_SOURCES = $(shell find device_agent/runner -type f)
PROTOC = build/protoc/bin/python
# Packages for boards: which processor they are for.
ARCH ?= aarch64
BOARD_PACKAGES = PYTHONPATH=device_agent/packaging $(PYTHON_IN_VENV) -m board_packages

.PHONY: demo test fast-test check bench protos reference runner insn board-runner agent-wheel agent-deb setup-demo setup-test setup-boards clean

demo: setup-demo
	@$(MAKE) --no-print-directory runner
	$(VENV)/bin/edgectl demo

test: setup-test
	@$(MAKE) --no-print-directory runner insn
	$(PYTHON_IN_VENV) -m pytest

fast-test: setup-test
	@$(MAKE) --no-print-directory runner insn
	$(PYTHON_IN_VENV) -m pytest tests/unit tests/contract

check: setup-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

bench: setup-test
	@$(MAKE) --no-print-directory runner insn
	@short=0; for program in $(filter-out benchmarks/runner_files.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$program"; $(PYTHON_IN_VENV) $$program || short=1; done; exit $$short

# Generated with the oldest release the devices may run: newer generated code refuses an older runtime.
protos:
	[ -x $(PROTOC) ] || python3 -m venv build/protoc
	$(PROTOC) -m pip install --quiet grpcio-tools==1.73.1 'setuptools<81'
	$(PROTOC) -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos protos/edgectl_protos/v1/telemetry.proto
	$(PROTOC) -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos --grpc_python_out=protos protos/edgectl_protos/v1/agent.proto

# The reference model that ships with the agent: the same bytes each time, and a test holds it.
reference: setup-test
	$(PYTHON_IN_VENV) device_agent/reference/build.py device_agent/edgectl_agent/measure/reference.pte

setup-demo:
	@VENV=$(VENV) deploy/setup.sh demo

setup-test:
	@VENV=$(VENV) deploy/setup.sh test

setup-boards:
	@VENV=$(VENV) deploy/setup.sh boards

# Whichever set-up ran first has brought cmake; alone, `make runner` takes the smaller one.
$(VENV)/bin/cmake:
	@VENV=$(VENV) deploy/setup.sh demo

runner: $(RUNNER)

$(RUNNER): $(RUNNER_SOURCES) deploy/constraints.txt | $(VENV)/bin/cmake
	@mkdir -p build
	$(VENV)/bin/cmake -S device_agent/runner -B build/runner -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(VENV)/bin/ninja) -DPython3_EXECUTABLE=$(abspath $(PYTHON_IN_VENV)) \
	  -DCMAKE_INSTALL_PREFIX=$(abspath $(VENV)) > build/runner.log 2>&1 || { cat build/runner.log; exit 1; }
	$(VENV)/bin/cmake --build build/runner
	$(VENV)/bin/cmake --install build/runner > build/runner-install.log
	@touch $(RUNNER)

insn: $(INSN)

$(INSN): device_agent/insn/insn.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O2 -Wall -Wextra -Wpedantic -fPIC -shared -fvisibility=hidden -o $@.new $<
	@mv $@.new $@

board-runner: setup-boards
	$(BOARD_PACKAGES) runner --arch $(ARCH)

agent-wheel: setup-boards
	$(BOARD_PACKAGES) wheel --arch $(ARCH)

agent-deb: setup-boards
	$(BOARD_PACKAGES) deb --arch $(ARCH)

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
