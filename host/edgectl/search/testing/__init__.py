# SPDX-License-Identifier: Apache-2.0
"""What tests of searches need, ours and others': an exact problem, and the contract every sampler keeps."""
