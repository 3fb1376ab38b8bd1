# SPDX-License-Identifier: Apache-2.0
"""The board as an instrument: what is measured, when a measurement is accepted, and the evidence that goes with it."""
