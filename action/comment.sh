#!/usr/bin/env bash
# Posts a comment on a pull request, or brings the one that was posted before up to date.
# usage: comment.sh FILE.  Environment: GH_TOKEN with pull-requests write, REPOSITORY (owner/name), NUMBER.
set -euo pipefail

file=$1
marker='<!-- golfproof -->'
[[ "$NUMBER" =~ ^[0-9]{1,9}$ ]] || { echo "not the number of a pull request: $NUMBER" >&2; exit 2; }
[ "$(head -c "${#marker}" "$file")" = "$marker" ] || { echo "$file: not a comment of golfproof" >&2; exit 2; }

# Only a comment of our own kind by an app or bot is replaced: a person may quote the marker.
earlier=$(gh api --paginate "repos/$REPOSITORY/issues/$NUMBER/comments?per_page=100" \
  --jq ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$marker\"))) | .id" | head -n 1)
if [ -n "$earlier" ]; then
  gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/$earlier" -F "body=@$file"
  echo "updated comment $earlier"
else
  gh api --silent --method POST "repos/$REPOSITORY/issues/$NUMBER/comments" -F "body=@$file"
  echo "posted a comment"
fi
