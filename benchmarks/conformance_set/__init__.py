# SPDX-License-Identifier: Apache-2.0
"""Small programs, one or more of each operator family, in each precision, and the places they are run in."""
