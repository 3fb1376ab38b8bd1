# SPDX-License-Identifier: Apache-2.0
"""The search: a typed genome, samplers behind ask/tell, a study that survives its process, and the Pareto front.

Knows neither models nor devices: candidates are judged through the `Evaluator` protocol. Imports no torch.
"""
