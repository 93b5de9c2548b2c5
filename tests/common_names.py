"""Names and shapes that common models give their parameters, with the role each should have."""

from __future__ import annotations

_GPT2 = """
transformer.wte.weight                      50257 768     embedding
transformer.wpe.weight                      1024 768      embedding
transformer.h.0.ln_1.weight                 768           norm
transformer.h.0.ln_1.bias                   768           bias
transformer.h.0.attn.c_attn.weight          768 2304      qkv
transformer.h.0.attn.c_attn.bias            2304          bias
transformer.h.0.attn.c_proj.weight          768 768       output
transformer.h.0.mlp.c_fc.weight             768 3072      mlp
transformer.h.0.mlp.c_proj.weight           3072 768      mlp
transformer.ln_f.weight                     768           norm
lm_head.weight                              50257 768     head
"""
_LLAMA = """
model.embed_tokens.weight                   32000 4096    embedding
model.layers.0.self_attn.q_proj.weight      4096 4096     query
model.layers.0.self_attn.k_proj.weight      1024 4096     key
model.layers.0.self_attn.v_proj.weight      1024 4096     value
model.layers.0.self_attn.o_proj.weight      4096 4096     output
model.layers.0.mlp.gate_proj.weight         11008 4096    mlp
model.layers.0.mlp.down_proj.weight         4096 11008    mlp
model.layers.0.input_layernorm.weight       4096          norm
model.layers.0.self_attn.q_norm.weight      128           norm
model.norm.weight                           4096          norm
tok_embeddings.weight                       32000 4096    embedding
layers.0.attention.wq.weight                4096 4096     query
layers.0.attention.wk.weight                1024 4096     key
layers.0.attention.wv.weight                1024 4096     value
layers.0.attention.wo.weight                4096 4096     output
layers.0.feed_forward.w1.weight             11008 4096    mlp
layers.0.attention_norm.weight              4096          norm
output.weight                               32000 4096    head
"""
_BERT = """
bert.embeddings.word_embeddings.weight                      30522 768  embedding
bert.embeddings.position_embeddings.weight                  512 768    embedding
bert.embeddings.LayerNorm.weight                            768        norm
bert.encoder.layer.0.attention.self.query.weight            768 768    query
bert.encoder.layer.0.attention.self.key.weight              768 768    key
bert.encoder.layer.0.attention.self.value.weight            768 768    value
bert.encoder.layer.0.attention.self.value.bias              768        bias
bert.encoder.layer.0.attention.output.dense.weight          768 768    output
bert.encoder.layer.0.attention.output.LayerNorm.weight      768        norm
bert.encoder.layer.0.intermediate.dense.weight              3072 768   mlp
bert.encoder.layer.0.output.dense.weight                    768 3072   mlp
bert.pooler.dense.weight                                    768 768    other
cls.predictions.decoder.weight                              30522 768  head
classifier.weight                                           2 768      head
"""
_T5 = """
shared.weight                                                               32128 512  embedding
encoder.block.0.layer.0.SelfAttention.q.weight                              512 512    query
encoder.block.0.layer.0.SelfAttention.k.weight                              512 512    key
encoder.block.0.layer.0.SelfAttention.v.weight                              512 512    value
encoder.block.0.layer.0.SelfAttention.o.weight                              512 512    output
encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight        32 8       embedding
encoder.block.0.layer.1.DenseReluDense.wi.weight                            2048 512   mlp
encoder.block.0.layer.1.DenseReluDense.wo.weight                            512 2048   mlp
encoder.block.0.layer.0.layer_norm.weight                                   512        norm
"""
_VIT = """
vit.embeddings.cls_token                                         1 1 768        embedding
vit.embeddings.position_embeddings                               1 197 768      embedding
vit.embeddings.patch_embeddings.projection.weight                768 3 16 16    conv
vit.encoder.layer.0.attention.attention.query.weight             768 768        query
vit.encoder.layer.0.attention.output.dense.weight                768 768        output
vit.encoder.layer.0.layernorm_before.weight                      768            norm
"""
_TRANSFORMER = """
encoder.layers.0.self_attn.in_proj_weight           1536 512   qkv
encoder.layers.0.self_attn.in_proj_bias             1536       bias
encoder.layers.0.self_attn.out_proj.weight          512 512    output
decoder.layers.0.multihead_attn.out_proj.weight     512 512    output
encoder.layers.0.linear1.weight                     2048 512   mlp
encoder.layers.0.norm1.weight                       512        norm
"""
_TIMM = """
cls_token                            1 1 768        embedding
pos_embed                            1 197 768      embedding
patch_embed.proj.weight              768 3 16 16    conv
patch_embed.proj.bias                768            bias
blocks.0.norm1.weight                768            norm
blocks.0.attn.qkv.weight             2304 768       qkv
blocks.0.attn.proj.weight            768 768        output
blocks.0.ls1.gamma                   768            norm
blocks.0.mlp.fc1.weight              3072 768       mlp
blocks.0.mlp.fc2.weight              768 3072       mlp
layers.0.blocks.0.attn.relative_position_bias_table  169 3  embedding
head.weight                          1000 768       head
conv1.weight                         64 3 7 7       conv
bn1.weight                           64             norm
layer1.0.downsample.0.weight         256 64 1 1     conv
layer1.0.downsample.1.weight         256            norm
fc.weight                            1000 512       head
stages.0.blocks.0.conv_dw.weight     96 1 7 7       conv
encoder.conv1d.weight                64 32 5        conv
"""


def _lines(text: str) -> list[tuple[str, tuple[int, ...], str]]:
    rows = [line.split() for line in text.strip().splitlines()]
    return [(name, tuple(map(int, sizes)), role) for name, *sizes, role in rows]


NAMES = [
    line
    for model in (_GPT2, _LLAMA, _BERT, _T5, _VIT, _TRANSFORMER, _TIMM)
    for line in _lines(model)
]
