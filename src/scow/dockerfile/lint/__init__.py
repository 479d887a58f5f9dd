# SPDX-License-Identifier: Apache-2.0
"""Advice about Dockerfiles: each rule is a value with a page in the docs."""
