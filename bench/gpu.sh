#!/usr/bin/env bash
# Accepts wrnc on a machine with an NVIDIA GPU: health, correctness, races, speed beside
# PyTorch and, where data are given, a training. It needs a built wrnc and neither Go nor
# a network. Each step has its own limit and all have one budget; a step that fails stops
# no other. What came of it is kept in a folder named by device and date (see README.md).
# The exit code is 0 if every step passed that could be tried, 1 if one did not, and 2 if
# the command line is wrong.
set -uo pipefail

usage() {
  cat <<'TEXT'
usage: bench/gpu.sh [flags] WRNC

  WRNC              the program, such as ./wrnc
  --python PATH     a Python whose PyTorch has CUDA; python3 by default
  --data DIR        a folder with CIFAR-10: train on it, too
  --device N        the number of the GPU; 0 by default
  --out DIR         where the folder of records is made; by default records, beside this file
  --networks LIST   what is timed; by default "WRN-16-4 WRN-28-10 WRN-40-4"
  --batch N         images in a batch of it; 128 by default
  --rounds N        turns of each program; 6 by default
  --verify LIST     what is verified; by default "default", what wrnc verify takes without a
                    name, and networks of ../testdata/nets
  --compile LIST    what is timed beside torch.compile, too, which takes minutes each; by default "WRN-16-4"
  --budget SECONDS  of all steps; 580 by default
TEXT
}

wrong() { printf 'gpu.sh: %s; gpu.sh --help lists the flags\n' "$*" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 2
precisions="f32 tf32 bf16"
python=python3 data="" device=0 out=$here/records networks="WRN-16-4 WRN-28-10 WRN-40-4" batch=128 rounds=6 compile=WRN-16-4 budget=580 wrnc=""
verify=default
for net in wrn-10-1-b13 highway nin vgg-bn wrn-50-2-bottleneck; do
  if [ -f "$here/../testdata/nets/$net.wrn" ]; then verify+=" $here/../testdata/nets/$net.wrn"; fi
done

while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --python | --data | --device | --out | --networks | --batch | --rounds | --verify | --compile | --budget)
      [ $# -ge 2 ] || wrong "$1: expected a value"
      printf -v "${1#--}" %s "$2"
      shift ;;
    -*) wrong "$1: no such flag" ;;
    *)
      [ -z "$wrnc" ] || wrong "$1: one program is enough"
      wrnc=$1 ;;
  esac
  shift
done
[ -n "$wrnc" ] || wrong "expected the program wrnc"
wrnc=$(command -v -- "$wrnc") || wrong "there is no such program; build it by: go build ./cmd/wrnc"
[[ $budget =~ ^[1-9][0-9]{0,5}$ ]] || wrong "--budget $budget: expected seconds"
command -v timeout >/dev/null || wrong "there is no timeout, which GNU coreutils have"

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
folder=$work failed=0 steps=()

# row RESULT NAME SECONDS NOTE keeps what came of a step.
row() {
  local note=${4//|/\\|}
  steps+=("| $2 | $1 | $3 | ${note:0:300} |")
  printf '%-10s %-40s %5s s  %s\n' "$1" "$2" "$3" "${4:0:100}"
  printf '{"step":"%s","result":"%s","seconds":%s}\n' "$2" "$1" "$3" >> "$folder/steps.jsonl"
  case $1 in passed | skipped) ;; *) failed=1 ;; esac
  report
}

# step NAME LIMIT COMMAND... runs a command for at most so many seconds. What it prints
# is kept in NAME.json where it is JSON, and the rest in NAME.log.
step() {
  local name=$1 limit=$2 left=$((budget - SECONDS)) begun=$SECONDS result=passed note="" code
  shift 2
  if [ "$left" -le 0 ]; then
    row "not run" "$name" 0 "the budget of $budget s is spent"
    return 1
  fi
  if [ "$limit" -gt "$left" ]; then limit=$left; fi
  timeout -k 5 "$limit" "$@" > "$folder/$name.json" 2> "$folder/$name.log" < /dev/null
  code=$?
  if [ "$(head -c 1 "$folder/$name.json")" != "{" ]; then
    cat "$folder/$name.json" >> "$folder/$name.log"
    rm "$folder/$name.json"
  fi
  case $code in
    0) ;;
    124 | 137) result="too slow" note="stopped after $limit s" ;;
    *) result=FAILED note="exit code $code: $(grep -v '^ *$' "$folder/$name.log" | tail -n 1)" ;;
  esac
  [ -s "$folder/$name.log" ] || rm "$folder/$name.log"
  row "$result" "$name" $((SECONDS - begun)) "$note"
  [ "$code" = 0 ]
}

# finding PART KEY prints what the doctor says of a part of the machine.
finding() {
  awk -v part="\"part\": \"$1\"" -v key="\"$2\": \"" '
    /"part":/ { on = index($0, part) }
    on && (at = index($0, key)) { text = substr($0, at + length(key)); sub(/",?$/, "", text); gsub(/\\"/, "\"", text); print text; exit }
  ' "$folder/doctor.json" 2> /dev/null
}

# speeds prints a line of the table for each program of a record of `wrnc bench --json`.
speeds() {
  awk '
    function field(text, key,   at) {
      at = index(text, "\"" key "\":")
      if (!at) return ""
      text = substr(text, at + length(key) + 3)
      if (substr(text, 1, 1) == "\"") return substr(text, 2, index(substr(text, 2), "\"") - 1)
      match(text, /[,}]/)
      return substr(text, 1, RSTART - 1)
    }
    function number(text) { return text == "" ? "-" : sprintf("%.4g", text) }
    /^\{"network":/ {
      at = index($0, "\"model\":")
      model = at ? substr($0, at) : ""
      share = field(model, "share")
      printf "| %s | %s | %s | %s | %s %s | %s | %s | %s | %s | %s | %s |\n", field($0, "network"), field($0, "work"), field($0, "precision"), field($0, "batch"),
        field($0, "program"), field($0, "how"), number(field($0, "images_per_second")), number(field($0, "median_ms")) (field($0, "noisy") == "true" ? " (noisy)" : ""),
        number(field($0, "least_ms")), number(field($0, "medians")), number(field(model, "least_ms")), share == "" ? "-" : sprintf("%.0f %%", 100 * share)
    }' "$@"
}

# report writes the folder's README, after each step anew.
report() {
  local records=("$folder"/bench-*.json) part
  {
    printf '# %s, %s\n\nBy bench/gpu.sh; bench/README.md says what is measured and how.\n\n' "${card:-no GPU}" "$today"
    printf '| part | |\n|---|---|\n'
    for part in wrnc gpu nvrtc cpu torch; do printf '| %s | %s |\n' "$part" "$(finding "$part" text)"; done
    printf '\n| step | result | seconds | |\n|---|---|---|---|\n'
    printf '%s\n' "${steps[@]}"
    printf '\nMilliseconds a step. "wrnc / this" is the ratio of the median steps; "model" is the least time of the\nkernels at the nominal peaks of the card that is planned for, which were not measured here.\n\n'
    printf '| network | work | precision | batch | program | images/s | median | least | wrnc / this | model | model / median |\n|---|---|---|---|---|---|---|---|---|---|---|\n'
    if [ -e "${records[0]}" ]; then speeds "${records[@]}"; fi
  } > "$folder/README.md"
}

# label NETWORK makes a file's name of a network's.
label() { basename "$1" .wrn | tr -cd 'A-Za-z0-9.-'; }

torch_facts='
import json, sys, torch
print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
                  "device": torch.cuda.get_device_name(int(sys.argv[1]))}))'

today=$(date +%F) card=""
step doctor 60 "$wrnc" doctor --json --python "$python"
card=$(finding gpu text)
card=${card#*: }
case $card in *", sm_"*) card=${card%%, sm_*} ;; *) card="" ;; esac
folder=$out/$(printf '%s' "${card:-no gpu}" | tr '[:upper:]' '[:lower:]' | tr -cs '[:alnum:]' -)-$today
if [ -e "$folder" ]; then
  again=2
  while [ -e "$folder-$again" ]; do again=$((again + 1)); done
  folder+=-$again
fi
if ! { mkdir -p "$folder" && cp -R "$work/." "$folder"; }; then exit 2; fi
if grep -q '^ *"cuda",\{0,1\}$' "$folder/doctor.json" 2> /dev/null; then
  row passed gpu 0 "$card"
else
  row FAILED gpu 0 "wrnc doctor finds none that networks can be trained on"
fi
if command -v nvidia-smi > /dev/null; then
  step nvidia-smi 20 nvidia-smi -q
else
  row skipped nvidia-smi 0 "there is no such program"
fi

on=(--target cuda --device "$device")

# verified NETWORK... verifies each in every precision.
verified() {
  local net p which
  for net in "$@"; do
    which=("$net")
    if [ "$net" = default ]; then which=(); fi
    for p in $precisions; do
      step "verify-$(label "$net")-$p" 60 "$wrnc" verify "${which[@]}" "${on[@]}" --precision "$p" --limit 1 --json
    done
  done
}

# The first network to verify says most; the others come after what is timed, should the
# budget be too small for all.
read -ra nets <<< "$verify"
verified "${nets[@]:0:1}"

# Without a PyTorch that has the GPU wrnc is timed alone.
against=()
if [ "$(finding torch state)" != ok ]; then
  row skipped torch 0 "$(finding torch text)"
elif step torch 60 "$python" -c "$torch_facts" "$device"; then
  against=(--against torch --python "$python")
fi
timed=("${on[@]}" --batch "$batch" --rounds "$rounds" --json "${against[@]}")
for net in $networks; do
  for p in $precisions; do
    step "bench-$(label "$net")-$p" 90 "$wrnc" bench "$net" "${timed[@]}" --precision "$p" --kernels
  done
done

if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck; do
    step "$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 9 \
      "$wrnc" run --train digits WRN-10-1 "${on[@]}" --epochs 1 --batch 64 --limit 128 --out "$work/$tool"
  done
else
  row skipped memcheck 0 "there is no compute-sanitizer"
  row skipped racecheck 0 "there is no compute-sanitizer"
fi

if [ -n "$data" ]; then
  step train-cifar10 120 "$wrnc" run --train cifar10 WRN-16-4 --data "$data" "${on[@]}" --precision bf16 --epochs 2 --out "$work/run" --json
else
  row skipped train-cifar10 0 "no --data"
fi

verified "${nets[@]:1}"

if [ ${#against[@]} -gt 0 ]; then
  for net in $compile; do
    for p in $precisions; do
      step "bench-$(label "$net")-$p-compiled" 150 "$wrnc" bench "$net" "${timed[@]}" --precision "$p" --compile
    done
  done
fi

printf '\n%s\n' "$folder/README.md"
exit $failed
