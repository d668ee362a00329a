#!/usr/bin/env bash
# Every stage of the built-in models, end to end: data, tokenizer, base, instruct, block-fp8, scores.
#
#   runs/nano.sh DATA_DIR    with the public data (layout and sources: docs/models/nano.md)
#   runs/nano.sh             procedural only: generated conversations are all the text there is
#
# Resumable: a stage whose result stands in out/ is not done again, an interrupted training
# continues from its last checkpoint. Train longer by editing recipes/nano/*.toml, whose paths begin
# with out/ as this script does. Environment: BIN, where openk2 and torchrun are (default .venv/bin);
# PROCESSES that train together, 1 or 2: two of one thread each are faster on a CPU of two cores than
# one of two.
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
mkdir -p "$made"

# once FILE COMMAND...: run the command unless FILE is there.
once() { local file="$1"; shift; [[ -e "$file" ]] || "$@"; }

once "$made/generated.jsonl" \
    "$openk2" data synthesize --count 60000 --seed 1 --out "$made/generated.jsonl"
chats=("$made/generated.jsonl")
texts=()
if [[ -n "$data" ]]; then
    once "$made/sgd.jsonl" "$openk2" data dialogues "$data/dialogues/sgd-train.jsonl.xz" \
        "$data/dialogues/sgd-train-schema.json" --max-chars 3000 --max-results 1 --out "$made/sgd.jsonl"
    once "$made/sgd-dev.jsonl" "$openk2" data dialogues "$data/dialogues/sgd-dev.jsonl.xz" \
        "$data/dialogues/sgd-dev-schema.json" --max-chars 3000 --max-results 1 \
        --out "$made/sgd-dev.jsonl"
    chats+=("$made/sgd.jsonl")
    texts=("$data/text/classic-books.jsonl.xz" "$data/text/tldr-pages.jsonl.xz"
        "$data/text/openstax-physics.jsonl.xz")
fi
once "$tokenizer/tiktoken.model" \
    "$openk2" data tokenizer "${chats[@]}" ${texts[@]+"${texts[@]}"} --megabytes 6 --out "$tokenizer"

pack() { "$openk2" data pack --tokenizer "$tokenizer" "$@"; }
recipe=recipes/nano/pretrain-procedural.toml
chat_flags=()
for file in "${chats[@]}"; do
    chat_flags+=(--chat "$file")
    packed="$made/$(basename "$file" .jsonl)-all-512.safetensors"
    once "$packed" pack --chat "$file" --learn-all --length 512 --out "$packed"
done
for file in ${texts[@]+"${texts[@]}"}; do
    recipe=recipes/nano/pretrain.toml
    packed="$made/$(basename "$file" .jsonl.xz)-512.safetensors"
    once "$packed" pack --text "$file" --length 512 --out "$packed"
done
once "$made/sft-1024.safetensors" \
    pack "${chat_flags[@]}" --length 1024 --shuffle-seed 1 --out "$made/sft-1024.safetensors"
for length in 512 1024; do
    once "$made/drills-$length.safetensors" "$openk2" data drills --tokenizer "$tokenizer" \
        --count 60000 --length "$length" --seed "$length" --out "$made/drills-$length.safetensors"
done

train() {
    OMP_NUM_THREADS="$((cores / processes))" "$bin/torchrun" --standalone \
        --nproc-per-node "$processes" --no-python "$openk2" "$@"
}
train pretrain recipes/nano/copying.toml --out "$out/nano/copying"
train pretrain "$recipe" --out "$out/nano/base"
train sft recipes/nano/sft.toml --out "$out/nano/instruct"

# The package's own copies: block-fp8, base and instruct.
"$openk2" checkpoint export "$out/nano/base/checkpoint" src/openk2/assets/openk2-nano-base \
    --dtype block-fp8
"$openk2" checkpoint export "$out/nano/instruct/checkpoint" src/openk2/assets/openk2-nano \
    --dtype block-fp8

"$openk2" eval weather --runs 100
"$openk2" eval tools
if [[ -n "$data" ]]; then "$openk2" eval tools "$made/sgd-dev.jsonl"; fi
