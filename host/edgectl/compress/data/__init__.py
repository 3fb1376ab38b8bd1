# SPDX-License-Identifier: Apache-2.0
"""A user's data: loaded, checked once, and given out in batches."""

from edgectl.compress.data.splits import DataSplits, check_splits, load_splits

__all__ = ["DataSplits", "check_splits", "load_splits"]
