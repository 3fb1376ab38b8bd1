from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Metric(_message.Message):
    __slots__ = ("name", "unit", "model", "value", "unavailable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    unit: str
    model: str
    value: float
    unavailable: str
    def __init__(self, name: _Optional[str] = ..., unit: _Optional[str] = ..., model: _Optional[str] = ..., value: _Optional[float] = ..., unavailable: _Optional[str] = ...) -> None: ...

class TelemetryRecord(_message.Message):
    __slots__ = ("device", "boot_id", "sequence", "wall_ns", "monotonic_ns", "metrics")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    device: str
    boot_id: str
    sequence: int
    wall_ns: int
    monotonic_ns: int
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    def __init__(self, device: _Optional[str] = ..., boot_id: _Optional[str] = ..., sequence: _Optional[int] = ..., wall_ns: _Optional[int] = ..., monotonic_ns: _Optional[int] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ...) -> None: ...

class DeviceStatus(_message.Message):
    __slots__ = ("device", "online", "boot_id", "agent_version", "wall_ns")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    device: str
    online: bool
    boot_id: str
    agent_version: str
    wall_ns: int
    def __init__(self, device: _Optional[str] = ..., online: bool = ..., boot_id: _Optional[str] = ..., agent_version: _Optional[str] = ..., wall_ns: _Optional[int] = ...) -> None: ...

class MeasurementBlock(_message.Message):
    __slots__ = ("device", "boot_id", "model", "digest", "attempt", "index", "reference", "runs", "samples_ms", "p50_ms", "rss_bytes", "wall_ns")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_MS_FIELD_NUMBER: _ClassVar[int]
    P50_MS_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    WALL_NS_FIELD_NUMBER: _ClassVar[int]
    device: str
    boot_id: str
    model: str
    digest: str
    attempt: int
    index: int
    reference: bool
    runs: int
    samples_ms: _containers.RepeatedScalarFieldContainer[float]
    p50_ms: float
    rss_bytes: int
    wall_ns: int
    def __init__(self, device: _Optional[str] = ..., boot_id: _Optional[str] = ..., model: _Optional[str] = ..., digest: _Optional[str] = ..., attempt: _Optional[int] = ..., index: _Optional[int] = ..., reference: bool = ..., runs: _Optional[int] = ..., samples_ms: _Optional[_Iterable[float]] = ..., p50_ms: _Optional[float] = ..., rss_bytes: _Optional[int] = ..., wall_ns: _Optional[int] = ...) -> None: ...
