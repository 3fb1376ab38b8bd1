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
    __slots__ = ("protocol", "agent_version", "device", "boot_id", "architecture", "runtime", "delegates", "capabilities", "kernel", "cpu_model", "cpu_features", "cpu_count", "memory_bytes", "models", "agent_pss_bytes")
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
    def __init__(self, protocol: _Optional[int] = ..., agent_version: _Optional[str] = ..., device: _Optional[str] = ..., boot_id: _Optional[str] = ..., architecture: _Optional[str] = ..., runtime: _Optional[str] = ..., delegates: _Optional[_Iterable[str]] = ..., capabilities: _Optional[_Iterable[str]] = ..., kernel: _Optional[str] = ..., cpu_model: _Optional[str] = ..., cpu_features: _Optional[_Iterable[str]] = ..., cpu_count: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., models: _Optional[_Iterable[_Union[InstalledModel, _Mapping]]] = ..., agent_pss_bytes: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("name", "digest", "previous_digest", "golden_max_abs_error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_MAX_ABS_ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    previous_digest: str
    golden_max_abs_error: float
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., previous_digest: _Optional[str] = ..., golden_max_abs_error: _Optional[float] = ...) -> None: ...

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

class BenchmarkRequest(_message.Message):
    __slots__ = ("name", "digest", "protocol", "warmup_seconds", "warmup_runs", "blocks", "block_runs", "block_seconds", "threads")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RUNS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_RUNS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SECONDS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    protocol: str
    warmup_seconds: float
    warmup_runs: int
    blocks: int
    block_runs: int
    block_seconds: float
    threads: int
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., protocol: _Optional[str] = ..., warmup_seconds: _Optional[float] = ..., warmup_runs: _Optional[int] = ..., blocks: _Optional[int] = ..., block_runs: _Optional[int] = ..., block_seconds: _Optional[float] = ..., threads: _Optional[int] = ...) -> None: ...

class BenchmarkEvent(_message.Message):
    __slots__ = ("block", "result")
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    block: BenchmarkBlock
    result: BenchmarkResult
    def __init__(self, block: _Optional[_Union[BenchmarkBlock, _Mapping]] = ..., result: _Optional[_Union[BenchmarkResult, _Mapping]] = ...) -> None: ...

class BenchmarkBlock(_message.Message):
    __slots__ = ("index", "samples_ms", "rss_bytes")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    index: int
    samples_ms: _containers.RepeatedScalarFieldContainer[float]
    rss_bytes: int
    def __init__(self, index: _Optional[int] = ..., samples_ms: _Optional[_Iterable[float]] = ..., rss_bytes: _Optional[int] = ...) -> None: ...

class BenchmarkResult(_message.Message):
    __slots__ = ("unit", "block_sizes", "memory", "load_ms", "warmup_runs", "threads", "evidence")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SIZES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    LOAD_MS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RUNS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    unit: str
    block_sizes: _containers.RepeatedScalarFieldContainer[int]
    memory: Memory
    load_ms: float
    warmup_runs: int
    threads: int
    evidence: _containers.RepeatedCompositeFieldContainer[Evidence]
    def __init__(self, unit: _Optional[str] = ..., block_sizes: _Optional[_Iterable[int]] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., load_ms: _Optional[float] = ..., warmup_runs: _Optional[int] = ..., threads: _Optional[int] = ..., evidence: _Optional[_Iterable[_Union[Evidence, _Mapping]]] = ...) -> None: ...

class Memory(_message.Message):
    __slots__ = ("program_bytes", "planned_bytes", "load_rss_bytes", "peak_rss_bytes")
    PROGRAM_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLANNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    program_bytes: int
    planned_bytes: int
    load_rss_bytes: int
    peak_rss_bytes: int
    def __init__(self, program_bytes: _Optional[int] = ..., planned_bytes: _Optional[int] = ..., load_rss_bytes: _Optional[int] = ..., peak_rss_bytes: _Optional[int] = ...) -> None: ...

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
