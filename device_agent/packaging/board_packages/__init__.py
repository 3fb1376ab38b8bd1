# SPDX-License-Identifier: Apache-2.0
"""Builds what a board installs: the cross-compiled runner, one self-contained wheel, a Debian package.

It runs where edgectl is developed, never on a board, and needs nothing but the standard library and `edgectl_protos`.
"""
