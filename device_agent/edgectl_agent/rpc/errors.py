# SPDX-License-Identifier: Apache-2.0
"""The one place where errors become gRPC statuses: `edgectl_protos.errors.CODE_TABLE`, with the data as metadata."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from edgectl_protos.errors import EdgectlError, InternalError
from edgectl_protos.wire import ERROR_METADATA

from edgectl_agent.convert import error_detail

_log = logging.getLogger(__name__)


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Wraps every handler; what is no `EdgectlError` is a defect of ours, logged here and told as such."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        codecs = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(_single(handler.unary_unary), **codecs)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(_single(handler.stream_unary), **codecs)
        return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream), **codecs)


def _single(call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def guarded(request: Any, context: Any) -> Any:
        try:
            return await call(request, context)
        except Exception as error:  # noqa: BLE001 - the boundary: everything becomes a status
            await _abort(context, error)

    return guarded


def _stream(call: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
        answers = call(request, context)
        try:
            async for answer in answers:
                yield answer
        except Exception as error:  # noqa: BLE001 - the boundary: everything becomes a status
            await _abort(context, error)
        finally:
            await answers.aclose()  # type: ignore[attr-defined]  # handlers are async generators

    return guarded


async def _abort(context: Any, error: Exception) -> NoReturn:
    if not isinstance(error, EdgectlError):
        _log.error("a defect", exc_info=error)
        error = InternalError(f"the agent failed: {type(error).__name__}", action="see the agent's log")
    await context.abort(
        getattr(grpc.StatusCode, error.grpc_status), error.message, ((ERROR_METADATA, error_detail(error)),)
    )
    raise AssertionError("abort raises")
