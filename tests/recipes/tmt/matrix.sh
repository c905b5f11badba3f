#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs what $SELECT says and gives tmt a result for each scenario. kdumpkit is $KDUMPKIT or in PATH; inside the source tree or with
# KDUMPKIT_TREE set to it.
set -uo pipefail
# Not quoted: it is a list of arguments.
# shellcheck disable=SC2086
"${KDUMPKIT:-kdumpkit}" test run --fresh $SELECT --ktap --html "$TMT_TEST_DATA/report.html" --junit "$TMT_TEST_DATA/junit.xml" |
	tee "$TMT_TEST_DATA/output.ktap"
status=${PIPESTATUS[0]}
awk '
	/^(not )?ok / {
		result = /^not / ? "fail" : / # SKIP / ? "skip" : "pass"
		sub(/^not /, ""); name = $3; gsub(/@/, "-", name)
		printf "- name: /%s\n  result: %s\n  log: [data/output.ktap, data/report.html]\n", name, result
	}' "$TMT_TEST_DATA/output.ktap" >"$TMT_TEST_DATA/results.yaml"
# Without a result for any scenario tmt would see an empty list and be content.
[ -s "$TMT_TEST_DATA/results.yaml" ] || printf -- '- name: /\n  result: error\n  note: ["kdumpkit ended with %s"]\n' "$status" >"$TMT_TEST_DATA/results.yaml"
exit "$status"
