// Logits of llama.cpp: `gguf_logits MODEL.gguf OUT BETA_FAST id id ...` writes float32
// [tokens, vocabulary]. BETA_FAST is its --yarn-beta-fast. Built against a llama.cpp tree:
//   g++ -O2 -std=c++17 -ITREE/include -ITREE/ggml/include gguf_logits.cpp -LBUILD/bin -lllama
//   -lggml -lggml-base -Wl,-rpath,BUILD/bin -o gguf_logits
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "llama.h"

int main(int count, char** arguments) {
  if (count < 5) return 2;
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model) return 3;
  std::vector<llama_token> tokens;
  for (int i = 4; i < count; i++) tokens.push_back(std::atoi(arguments[i]));
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = 512;
  params.yarn_beta_fast = std::strtof(arguments[3], nullptr);
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_F32;
  llama_context* context = llama_init_from_model(model, params);
  if (!context) return 4;
  llama_batch batch = llama_batch_init(static_cast<int32_t>(tokens.size()), 0, 1);
  for (size_t i = 0; i < tokens.size(); i++) {
    batch.token[i] = tokens[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = true;
  }
  batch.n_tokens = static_cast<int32_t>(tokens.size());
  if (llama_decode(context, batch)) return 5;
  const int words = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::FILE* out = std::fopen(arguments[2], "wb");
  for (int i = 0; i < batch.n_tokens; i++) {
    std::fwrite(llama_get_logits_ith(context, i), sizeof(float), static_cast<size_t>(words), out);
  }
  std::fclose(out);
  return 0;
}
