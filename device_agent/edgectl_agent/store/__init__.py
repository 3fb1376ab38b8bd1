# SPDX-License-Identifier: Apache-2.0
"""What the agent keeps on disk: bundles in two slots for each model, and uploads on their way there."""
