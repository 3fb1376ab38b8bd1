# SPDX-License-Identifier: Apache-2.0
"""Inference for applications on the board: synchronous, over the agent's sockets, usable from several threads.

    with connect("/run/edge-agent") as models:
        answer = models.model("digits").run(image)

Nothing here imports asyncio, grpc or, until `arrays()` is called, numpy.
"""

from edgectl_agent.client.answer import Answer, Output
from edgectl_agent.client.local_models import LocalModels, connect
from edgectl_agent.client.model import Model
from edgectl_agent.runner.frames import BusyError
from edgectl_agent.runner.listing import ModelListing

__all__ = ["Answer", "BusyError", "LocalModels", "Model", "ModelListing", "Output", "connect"]
