from edgectl_protos.v1 import telemetry_pb2 as _telemetry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorDetail(_message.Message):
    __slots__ = ("code", "seen", "expected", "action")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    code: str
    seen: str
    expected: str
    action: str
    def __init__(self, code: _Optional[str] = ..., seen: _Optional[str] = ..., expected: _Optional[str] = ..., action: _Optional[str] = ...) -> None: ...

class HelloRequest(_message.Message):
    __slots__ = ("protocol", "host_version")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HOST_VERSION_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    host_version: str
    def __init__(self, protocol: _Optional[int] = ..., host_version: _Optional[str] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("protocol", "agent_version", "device", "boot_id", "architecture", "runtime", "delegates", "capabilities", "kernel", "cpu_model", "cpu_features", "cpu_count", "memory_bytes", "models", "agent_pss_bytes", "emulator", "core")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    CPU_MODEL_FIELD_NUMBER: _ClassVar[int]
    CPU_FEATURES_FIELD_NUMBER: _ClassVar[int]
    CPU_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    AGENT_PSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    EMULATOR_FIELD_NUMBER: _ClassVar[int]
    CORE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    agent_version: str
    device: str
    boot_id: str
    architecture: str
    runtime: str
    delegates: _containers.RepeatedScalarFieldContainer[str]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    kernel: str
    cpu_model: str
    cpu_features: _containers.RepeatedScalarFieldContainer[str]
    cpu_count: int
    memory_bytes: int
    models: _containers.RepeatedCompositeFieldContainer[InstalledModel]
    agent_pss_bytes: int
    emulator: str
    core: str
    def __init__(self, protocol: _Optional[int] = ..., agent_version: _Optional[str] = ..., device: _Optional[str] = ..., boot_id: _Optional[str] = ..., architecture: _Optional[str] = ..., runtime: _Optional[str] = ..., delegates: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., kernel: _Optional[str] = ..., cpu_model: _Optional[str] = ..., cpu_features: _Optional[_Iterable[str]] = ..., cpu_count: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., models: _Optional[_Iterable[_Union[InstalledModel, _Mapping]]] = ..., agent_pss_bytes: _Optional[int] = ..., emulator: _Optional[str] = ..., core: _Optional[str] = ...) -> None: ...

class InstalledModel(_message.Message):
    __slots__ = ("name", "version", "digest", "active")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    active: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., active: bool = ...) -> None: ...

class BundleChunk(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: BundleHeader
    data: bytes
    def __init__(self, header: _Optional[_Union[BundleHeader, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class BundleHeader(_message.Message):
    __slots__ = ("digest", "bytes")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    bytes: int
    def __init__(self, digest: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class PutBundleReply(_message.Message):
    __slots__ = ("name", "version", "digest", "already_present")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PRESENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    already_present: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., already_present: bool = ...) -> None: ...

class ActivateRequest(_message.Message):
    __slots__ = ("name", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class ActivateReply(_message.Message):
    __slots__ = ("name", "digest", "previous_digest", "golden_max_abs_error", "unchecked_budgets")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_MAX_ABS_ERROR_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_BUDGETS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    previous_digest: str
    golden_max_abs_error: float
    unchecked_budgets: _containers.RepeatedCompositeFieldContainer[UncheckedBudget]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., previous_digest: _Optional[str] = ..., golden_max_abs_error: _Optional[float] = ..., unchecked_budgets: _Optional[_Iterable[_Union[UncheckedBudget, _Mapping]]] = ...) -> None: ...

class UncheckedBudget(_message.Message):
    __slots__ = ("budget", "reason")
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    budget: str
    reason: str
    def __init__(self, budget: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class RollbackReply(_message.Message):
    __slots__ = ("name", "digest", "rolled_back_digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    rolled_back_digest: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., rolled_back_digest: _Optional[str] = ...) -> None: ...

class RunnerOptions(_message.Message):
    __slots__ = ("threads", "cpus", "nice", "memory_limit_bytes")
    THREADS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    NICE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    threads: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    nice: int
    memory_limit_bytes: int
    def __init__(self, threads: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ..., nice: _Optional[int] = ..., memory_limit_bytes: _Optional[int] = ...) -> None: ...

class BenchmarkRequest(_message.Message):
    __slots__ = ("name", "digest", "protocol", "warmup_seconds", "warmup_runs", "blocks", "block_runs", "block_seconds", "max_variation", "max_drift", "attempts", "cooldown_seconds", "time_limit_seconds", "allow_undelegated", "runner", "instructions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RUNS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_RUNS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_VARIATION_FIELD_NUMBER: _ClassVar[int]
    MAX_DRIFT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    COOLDOWN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ALLOW_UNDELEGATED_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    protocol: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float
    max_variation: float
    max_drift: float
    attempts: int
    cooldown_seconds: float
    time_limit_seconds: float
    allow_undelegated: bool
    runner: RunnerOptions
    instructions: InstructionProtocol
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., protocol: _Optional[str] = ..., warmup_seconds: _Optional[float] = ..., warmup_runs: _Optional[int] = ..., blocks: _Optional[int] = ..., block_runs: _Optional[int] = ..., block_seconds: _Optional[float] = ..., max_variation: _Optional[float] = ..., max_drift: _Optional[float] = ..., attempts: _Optional[int] = ..., cooldown_seconds: _Optional[float] = ..., time_limit_seconds: _Optional[float] = ..., allow_undelegated: bool = ..., runner: _Optional[_Union[RunnerOptions, _Mapping]] = ..., instructions: _Optional[_Union[InstructionProtocol, _Mapping]] = ...) -> None: ...

class InstructionProtocol(_message.Message):
    __slots__ = ("counts", "short_runs", "long_runs")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SHORT_RUNS_FIELD_NUMBER: _ClassVar[int]
    LONG_RUNS_FIELD_NUMBER: _ClassVar[int]
    counts: int
    short_runs: int
    long_runs: int
    def __init__(self, counts: _Optional[int] = ..., short_runs: _Optional[int] = ..., long_runs: _Optional[int] = ...) -> None: ...

class BenchmarkEvent(_message.Message):
    __slots__ = ("block", "result", "count")
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    block: BenchmarkBlock
    result: BenchmarkResult
    count: InstructionCount
    def __init__(self, block: _Optional[_Union[BenchmarkBlock, _Mapping]] = ..., result: _Optional[_Union[BenchmarkResult, _Mapping]] = ..., count: _Optional[_Union[InstructionCount, _Mapping]] = ...) -> None: ...

class InstructionCount(_message.Message):
    __slots__ = ("index", "short_instructions", "long_instructions")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SHORT_INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    LONG_INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    index: int
    short_instructions: int
    long_instructions: int
    def __init__(self, index: _Optional[int] = ..., short_instructions: _Optional[int] = ..., long_instructions: _Optional[int] = ...) -> None: ...

class BenchmarkBlock(_message.Message):
    __slots__ = ("attempt", "index", "reference", "samples_ms", "rss_bytes")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    index: int
    reference: bool
    samples_ms: _containers.RepeatedScalarFieldContainer[float]
    rss_bytes: int
    def __init__(self, attempt: _Optional[int] = ..., index: _Optional[int] = ..., reference: bool = ..., samples_ms: _Optional[_Iterable[float]] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class BlockSamples(_message.Message):
    __slots__ = ("samples_ms",)
    SAMPLES_MS_FIELD_NUMBER: _ClassVar[int]
    samples_ms: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, samples_ms: _Optional[_Iterable[float]] = ...) -> None: ...

class BenchmarkAttempt(_message.Message):
    __slots__ = ("candidate", "reference", "reasons")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    candidate: _containers.RepeatedCompositeFieldContainer[BlockSamples]
    reference: _containers.RepeatedCompositeFieldContainer[BlockSamples]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, candidate: _Optional[_Iterable[_Union[BlockSamples, _Mapping]]] = ..., reference: _Optional[_Iterable[_Union[BlockSamples, _Mapping]]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class BenchmarkResult(_message.Message):
    __slots__ = ("unit", "attempts", "chosen", "memory", "load_ms", "warmup", "threads", "cpus", "evidence", "dropped_blocks", "reference_digest", "undelegated", "counts")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    LOAD_MS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    UNDELEGATED_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    attempts: _containers.RepeatedCompositeFieldContainer[BenchmarkAttempt]
    chosen: int
    memory: Memory
    load_ms: _containers.RepeatedScalarFieldContainer[float]
    warmup: Warmup
    threads: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    dropped_blocks: int
    reference_digest: str
    undelegated: _containers.RepeatedScalarFieldContainer[str]
    counts: _containers.RepeatedCompositeFieldContainer[InstructionCount]
    def __init__(self, unit: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[BenchmarkAttempt, _Mapping]]] = ..., chosen: _Optional[int] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., load_ms: _Optional[_Iterable[float]] = ..., warmup: _Optional[_Union[Warmup, _Mapping]] = ..., threads: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., dropped_blocks: _Optional[int] = ..., reference_digest: _Optional[str] = ..., undelegated: _Optional[_Iterable[str]] = ..., counts: _Optional[_Iterable[_Union[InstructionCount, _Mapping]]] = ...) -> None: ...

class Warmup(_message.Message):
    __slots__ = ("runs", "seconds", "stable")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    runs: int
    seconds: float
    stable: bool
    def __init__(self, runs: _Optional[int] = ..., seconds: _Optional[float] = ..., stable: bool = ...) -> None: ...

class Memory(_message.Message):
    __slots__ = ("program_bytes", "planned_bytes", "load_rss_bytes", "peak_rss_bytes", "load_anonymous_bytes")
    PROGRAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLANNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_ANONYMOUS_BYTES_FIELD_NUMBER: _ClassVar[int]
    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    peak_rss_bytes: int
    load_anonymous_bytes: int
    def __init__(self, program_bytes: _Optional[int] = ..., planned_bytes: _Optional[int] = ..., load_rss_bytes: _Optional[int] = ..., peak_rss_bytes: _Optional[int] = ..., load_anonymous_bytes: _Optional[int] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ("name", "digest", "runs", "etdump", "runner")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    ETDUMP_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    runs: int
    etdump: bool
    runner: RunnerOptions
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., runs: _Optional[int] = ..., etdump: bool = ..., runner: _Optional[_Union[RunnerOptions, _Mapping]] = ...) -> None: ...

class ProfileCall(_message.Message):
    __slots__ = ("index", "kind", "name", "p50_us", "operators")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    P50_US_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    index: int
    kind: str
    name: str
    p50_us: float
    operators: _containers.RepeatedCompositeFieldContainer[ProfileOperator]
    def __init__(self, index: _Optional[int] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., p50_us: _Optional[float] = ..., operators: _Optional[_Iterable[_Union[ProfileOperator, _Mapping]]] = ...) -> None: ...

class ProfileOperator(_message.Message):
    __slots__ = ("name", "p50_us")
    NAME_FIELD_NUMBER: _ClassVar[int]
    P50_US_FIELD_NUMBER: _ClassVar[int]
    name: str
    p50_us: float
    def __init__(self, name: _Optional[str] = ..., p50_us: _Optional[float] = ...) -> None: ...

class ProfileReply(_message.Message):
    __slots__ = ("runs", "threads", "execute_p50_us", "calls", "evidence", "etdump")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_P50_US_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    ETDUMP_FIELD_NUMBER: _ClassVar[int]
    runs: int
    threads: int
    execute_p50_us: float
    calls: _containers.RepeatedCompositeFieldContainer[ProfileCall]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    etdump: bytes
    def __init__(self, runs: _Optional[int] = ..., threads: _Optional[int] = ..., execute_p50_us: _Optional[float] = ..., calls: _Optional[_Iterable[_Union[ProfileCall, _Mapping]]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ..., etdump: _Optional[bytes] = ...) -> None: ...

class PeriodicRequest(_message.Message):
    __slots__ = ("name", "digest", "rate_hz", "seconds", "deadline_ms", "runner", "allow_undelegated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    ALLOW_UNDELEGATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    rate_hz: float
    seconds: float
    deadline_ms: float
    runner: RunnerOptions
    allow_undelegated: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., rate_hz: _Optional[float] = ..., seconds: _Optional[float] = ..., deadline_ms: _Optional[float] = ..., runner: _Optional[_Union[RunnerOptions, _Mapping]] = ..., allow_undelegated: bool = ...) -> None: ...

class PeriodicEvent(_message.Message):
    __slots__ = ("window", "result")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    window: PeriodicWindow
    result: PeriodicResult
    def __init__(self, window: _Optional[_Union[PeriodicWindow, _Mapping]] = ..., result: _Optional[_Union[PeriodicResult, _Mapping]] = ...) -> None: ...

class PeriodicWindow(_message.Message):
    __slots__ = ("index", "releases", "missed", "skipped", "response_p50_ms", "response_max_ms", "rss_bytes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_P50_MS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MAX_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    index: int
    releases: int
    missed: int
    skipped: int
    response_p50_ms: float
    response_max_ms: float
    rss_bytes: int
    def __init__(self, index: _Optional[int] = ..., releases: _Optional[int] = ..., missed: _Optional[int] = ..., skipped: _Optional[int] = ..., response_p50_ms: _Optional[float] = ..., response_max_ms: _Optional[float] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("p50", "p90", "p95", "p99", "max")
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    def __init__(self, p50: _Optional[float] = ..., p90: _Optional[float] = ..., p95: _Optional[float] = ..., p99: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class PeriodicResult(_message.Message):
    __slots__ = ("releases", "executed", "skipped", "missed", "response_ms", "execute_ms", "lateness_ms", "jitter_ms", "longest_gap_ms", "memory", "load_ms", "threads", "cpus", "evidence")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MS_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_MS_FIELD_NUMBER: _ClassVar[int]
    LATENESS_MS_FIELD_NUMBER: _ClassVar[int]
    JITTER_MS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_GAP_MS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    LOAD_MS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    releases: int
    executed: int
    skipped: int
    missed: int
    response_ms: Distribution
    execute_ms: Distribution
    lateness_ms: Distribution
    jitter_ms: float
    longest_gap_ms: float
    memory: Memory
    load_ms: float
    threads: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    def __init__(self, releases: _Optional[int] = ..., executed: _Optional[int] = ..., skipped: _Optional[int] = ..., missed: _Optional[int] = ..., response_ms: _Optional[_Union[Distribution, _Mapping]] = ..., execute_ms: _Optional[_Union[Distribution, _Mapping]] = ..., lateness_ms: _Optional[_Union[Distribution, _Mapping]] = ..., jitter_ms: _Optional[float] = ..., longest_gap_ms: _Optional[float] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., load_ms: _Optional[float] = ..., threads: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("name", "value", "unavailable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    unavailable: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., unavailable: _Optional[str] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("name", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ...) -> None: ...

class InferReply(_message.Message):
    __slots__ = ("digest", "outputs", "execute_us")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_US_FIELD_NUMBER: _ClassVar[int]
    digest: str
    outputs: _containers.RepeatedCompositeFieldContainer[Tensor]
    execute_us: float
    def __init__(self, digest: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[Tensor, _Mapping]]] = ..., execute_us: _Optional[float] = ...) -> None: ...

class StreamTelemetryRequest(_message.Message):
    __slots__ = ("interval_seconds",)
    INTERVAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    interval_seconds: float
    def __init__(self, interval_seconds: _Optional[float] = ...) -> None: ...
