#!/usr/bin/env bash
# Every stage of the built-in models, end to end: data, tokenizer, base, instruct, block-fp8, scores.
#
#   runs/nano.sh DATA_DIR    with the public data (layout and sources: docs/models/nano.md)
#   runs/nano.sh             procedural only: generated conversations are all the text there is
#
# Resumable: a stage whose result stands in out/ is not done again, an interrupted training
# continues from its last checkpoint. Environment: OPENK2 (default .venv/bin/openk2). Train longer by
# editing recipes/nano/*.toml, whose paths begin with out/ as this script does.
set -euo pipefail
data="${1:-}"
if [[ -n "$data" ]]; then data="$(realpath "$data")"; fi
cd "$(dirname "$0")/.."
out=out
openk2="${OPENK2:-.venv/bin/openk2}"
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

"$openk2" pretrain "$recipe" --out "$out/nano/base"
"$openk2" sft recipes/nano/sft.toml --out "$out/nano/instruct"

# The package's own copies: block-fp8, base and instruct.
"$openk2" checkpoint export "$out/nano/base/checkpoint" src/openk2/assets/openk2-nano-base \
    --dtype block-fp8
"$openk2" checkpoint export "$out/nano/instruct/checkpoint" src/openk2/assets/openk2-nano \
    --dtype block-fp8

"$openk2" eval weather --runs 100
"$openk2" eval tools
if [[ -n "$data" ]]; then "$openk2" eval tools "$made/sgd-dev.jsonl"; fi
