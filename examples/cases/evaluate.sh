#!/bin/sh
# Replays the labelled systems below DATA/incidents with the configurations kept
# here, and prints how well they did, per set and fault.
#
#   examples/cases/evaluate.sh FORESHOCK DATA [OUT]
#
# FORESHOCK is the program, DATA the folder of the data sets. What was sent, the
# reports and the HTML pages go to OUT (default: a temporary folder). Where the data
# have a scorer of their own and Python is there, its table is compared with ours.
set -eu
foreshock=$1 data=$2 here=$(dirname "$0")
out=${3:-$(mktemp -d)}
mkdir -p "$out"
found=0
for dir in "$data"/incidents/*/; do
  set=$(basename "$dir")
  flags=
  case $set in
    petshop*) config=petshop flags=--query.lookback-delta=10m ;; # samples at exactly five minutes
    nezha*) config=nezha ;;
    rootcausebench*) config=rootcausebench ;;
    *) echo "$set: no configuration for this system in $here"; continue ;;
  esac
  found=$((found + 1))
  echo "== $set"
  "$foreshock" backtest --case "$dir" --config.file "$here/$config/foreshock.yml" $flags --summary \
    --pages "$out/$set.jsonl" --report "$out/$set.json" --html "$out/$set.html" > "$out/$set.txt" 2> "$out/$set.log" ||
    { cat "$out/$set.log"; exit 1; }
  cat "$out/$set.txt"
  if [ -f "$data/score/rca_score.py" ] && command -v python3 > /dev/null; then
    python3 "$data/score/rca_score.py" "$out/$set.jsonl" "$dir" > "$out/$set.scorer"
    if sed -n '/^set \/ fault/,/^ALL: /p' "$out/$set.txt" | diff - "$out/$set.scorer"; then
      echo "The table is equal to that of $data/score/rca_score.py."
    else
      echo "The table differs from that of $data/score/rca_score.py, see above."
      exit 1
    fi
  fi
  echo
done
[ $found -gt 0 ] || { echo "no set of a known system is below $data/incidents"; exit 1; }
echo "Pages, reports and HTML are in $out."
