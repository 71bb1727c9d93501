#!/usr/bin/env bash
# Audits a pull request: annotations to the log, the comment's text to the job's summary, the reports into a folder.
# Environment: ACTION (this repository's folder), REPOSITORY, BASE, HEAD, PROFILE, FAIL_ON, PYTHON, RUNNER_TEMP,
# GITHUB_OUTPUT, GITHUB_STEP_SUMMARY.
set -euo pipefail

reports="$RUNNER_TEMP/golfproof-reports"
rm -rf -- "$reports"
# -P: nothing of the working folder may be imported. A submission is data here, from beginning to end.
cd "$RUNNER_TEMP"
status=0
PYTHONPATH="$ACTION" "$PYTHON" -P -m golfproof pull-request "$REPOSITORY" --base="$BASE" --head="$HEAD" \
  --out="$reports" --profile="$PROFILE" --fail-on="$FAIL_ON" --web="$REPOSITORY" --annotate || status=$?
if [ "$status" -gt 1 ]; then
  exit "$status"
fi
cat "$reports/comment.md" >>"$GITHUB_STEP_SUMMARY"
{
  echo "reports=$reports"
  echo "failed=$([ "$status" = 1 ] && echo true || echo false)"
} >>"$GITHUB_OUTPUT"
