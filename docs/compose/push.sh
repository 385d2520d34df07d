#!/bin/sh
# push.sh [COUNT] sends signed pushes and tags to the bridge of compose.yaml. Of every
# ten, one has a wrong signature, one builds nothing, and one is sent twice.
set -eu
cd "$(dirname "$0")"
. ./.env

# send REF ID SECRET
send() {
	commit=$(printf '%s' "$2" | openssl dgst -sha1 | sed 's/^.* //')
	body='{"ref":"'$1'","before":"'$(printf %040d 1)'","after":"'$commit'","created":false,"deleted":false,"forced":false,
		"repository":{"full_name":"acme/shop","default_branch":"main"},"head_commit":{"id":"'$commit'","message":"A change"},"commits":[]}'
	signature=$(printf '%s' "$body" | openssl dgst -sha256 -hmac "$3" | sed 's/^.* //')
	printf '%s' "$body" | curl -sS --data-binary @- "${BRIDGE:-http://127.0.0.1:8080}/webhooks/github" -H 'Content-Type: application/json' \
		-H 'X-GitHub-Event: push' -H "X-GitHub-Delivery: $2" -H "X-Hub-Signature-256: sha256=$signature"
}

run=$(date +%s)
n=1
while [ "$n" -le "${1:-10}" ]; do
	id=$run-$n
	case $((n % 10)) in
	3) send refs/heads/main "$id" wrong ;;
	5) send refs/heads/unknown "$id" "$GITHUB_WEBHOOK_SECRET" ;;
	7) send "refs/tags/v1.0.$n" "$id" "$GITHUB_WEBHOOK_SECRET" ;;
	9) send refs/heads/main "$id" "$GITHUB_WEBHOOK_SECRET" && send refs/heads/main "$id" "$GITHUB_WEBHOOK_SECRET" ;;
	*) send refs/heads/main "$id" "$GITHUB_WEBHOOK_SECRET" ;;
	esac
	n=$((n + 1))
done
