#!/usr/bin/env bash
# Every stage of the built-in models, end to end: data, tokenizer, base, instruct, block-fp8, scores.
#
#   runs/nano.sh DATA_DIR    with the public data (layout and sources: docs/models/nano.md)
#   runs/nano.sh             procedural only: generated conversations are all the text there is
#
# The last stage writes over src/openk2/assets/openk2-nano and openk2-nano-base, the built-in models.
# Resumable: a stage whose result stands in out/ is not done again, an interrupted training
# continues from its last checkpoint. Train longer by editing recipes/nano/*.toml, whose paths begin
# with out/ as this script does. Environment: BIN, where openk2 and torchrun are (default .venv/bin);
# PROCESSES that train together, 1 or 2: two of one thread each are faster on a CPU of two cores than
# one of two. With jemalloc preloaded a step may be a tenth faster: docs/design/training.md.
set -euo pipefail
data="${1:-}"
if [[ -n "$data" ]]; then data="$(realpath "$data")"; fi
cd "$(dirname "$0")/.."
out=out
bin="${BIN:-.venv/bin}"
openk2="$bin/openk2"
cores="$(nproc)"
processes="${PROCESSES:-$((cores > 1 ? 2 : 1))}"
made="$out/data"
tokenizer="$made/tokenizer"
if [[ -n "$data" && ! -d "$data" ]]; then
    echo "error: $data is not a folder: give the data's folder, or nothing for a procedural run" >&2
    exit 1
fi
if [[ -n "$data" && ! -d "$data/apis" ]]; then
    echo "error: $data/apis is not a folder: put the packages with API descriptions there" >&2
    exit 1
fi
mkdir -p "$made"

# once FILE COMMAND...: run the command unless FILE is there.
once() { local file="$1"; shift; [[ -e "$file" ]] || "$@"; }

synthesize() { "$openk2" data synthesize "$@"; }
apis=()
if [[ -n "$data" ]]; then
    once "$made/apis.jsonl" "$openk2" data apis "$data"/apis/* --out "$made/apis.jsonl"
    apis=(--apis "$made/apis.jsonl")
    once "$made/dense.jsonl" synthesize "${apis[@]}" --api-share 1 --dense-share 1 \
        --count 8000 --seed 14 --out "$made/dense.jsonl"
    once "$made/own.jsonl" synthesize --count 16000 --seed 31 --out "$made/own.jsonl"
    once "$made/held-out.jsonl" synthesize "${apis[@]}" --api-share 1 --split held_out \
        --count 3000 --seed 12 --out "$made/held-out.jsonl"
fi
once "$made/generated.jsonl" \
    synthesize ${apis[@]+"${apis[@]}"} --count 60000 --seed 11 --out "$made/generated.jsonl"
once "$made/talk.jsonl" synthesize --talk-share 1 --count 10000 --seed 13 --out "$made/talk.jsonl"
texts=()
pretrain=recipes/nano/pretrain-procedural.toml
sft=recipes/nano/sft-procedural.toml
if [[ -n "$data" ]]; then
    pretrain=recipes/nano/pretrain.toml
    sft=recipes/nano/sft.toml
    for split in train dev; do
        once "$made/sgd-$split.jsonl" "$openk2" data dialogues \
            "$data/dialogues/sgd-$split.jsonl.xz" "$data/dialogues/sgd-$split-schema.json" \
            --max-chars 3000 --max-results 1 --out "$made/sgd-$split.jsonl"
    done
    texts=("$data/text/classic-books.jsonl.xz" "$data/text/tldr-pages.jsonl.xz"
        "$data/text/openstax-physics.jsonl.xz")
fi
sources=("$made/generated.jsonl" ${texts[@]+"${texts[@]}"})
if [[ -n "$data" ]]; then sources+=("$made/sgd-train.jsonl"); fi
once "$tokenizer/tiktoken.model" "$openk2" data tokenizer "${sources[@]}" --megabytes 6 \
    --vocab-size 4096 --out "$tokenizer"

# pack NAME FLAGS...: rows of 1,024 tokens.
pack() {
    local file="$made/$1-1024.safetensors"; shift
    once "$file" "$openk2" data pack --tokenizer "$tokenizer" --length 1024 "$@" --out "$file"
}
pack sft --chat "$made/generated.jsonl" --shuffle-seed 1 --say-why 0.95
pack talk --chat "$made/talk.jsonl" --shuffle-seed 4
pack generated-all --chat "$made/generated.jsonl" --learn-all --say-why 0.95 --shuffle-seed 2 \
    --limit 20000
if [[ -n "$data" ]]; then
    pack sgd-sft --chat "$made/sgd-train.jsonl" --shuffle-seed 3 --say-why 0.95
    pack own --chat "$made/own.jsonl" --shuffle-seed 5 --say-why 0.95
    pack dense --chat "$made/dense.jsonl" --say-why 0.97
fi
for file in ${texts[@]+"${texts[@]}"}; do
    pack "$(basename "$file" .jsonl.xz)" --text "$file"
done
once "$made/drills-1024.safetensors" "$openk2" data drills --tokenizer "$tokenizer" \
    --count 60000 --length 1024 --out "$made/drills-1024.safetensors"

train() {
    OMP_NUM_THREADS="$((cores / processes))" "$bin/torchrun" --standalone \
        --nproc-per-node "$processes" --no-python "$openk2" "$@"
}
train pretrain "$pretrain" --out "$out/nano/base"
train sft "$sft" --out "$out/nano/instruct"
last="$out/nano/instruct"
if [[ -n "$data" ]]; then
    last="$out/nano/last"
    train sft recipes/nano/more.toml --out "$out/nano/more"
    train sft recipes/nano/last.toml --out "$last"
fi

# The package's own copies: block-fp8, base and instruct.
"$openk2" checkpoint export "$out/nano/base/checkpoint" src/openk2/assets/openk2-nano-base \
    --dtype block-fp8
"$openk2" checkpoint export "$last/checkpoint" src/openk2/assets/openk2-nano --dtype block-fp8

"$openk2" eval weather --runs 100
"$openk2" eval weather --variations
"$openk2" eval everyday
if [[ -n "$data" ]]; then
    "$openk2" eval tools "$made/held-out.jsonl" --limit 1000
    "$openk2" eval tools "$made/sgd-dev.jsonl" --limit 1000
fi
