"""Vision transformers of vit-pytorch, and language models of x-transformers."""

from typing import Any

import torch
from program import Stepping, Trained, adam, adamw, drawn, images, loader, program, tokens
from vit_pytorch import SimpleViT, ViT
from vit_pytorch.cait import CaiT
from vit_pytorch.cct import CCT
from vit_pytorch.cvt import CvT
from vit_pytorch.deepvit import DeepViT
from vit_pytorch.distill import DistillableViT, DistillWrapper
from vit_pytorch.nest import NesT
from vit_pytorch.simple_vit_with_register_tokens import SimpleViT as RegisterViT
from vit_pytorch.t2t import T2TViT
from vit_pytorch.vit_for_small_dataset import ViT as SmallDatasetViT
from vit_pytorch.vit_with_patch_merger import ViT as MergerViT
from x_transformers import (
    AutoregressiveWrapper,
    ContinuousTransformerWrapper,
    Decoder,
    Encoder,
    TransformerWrapper,
    ViTransformerWrapper,
    XTransformer,
)

_VIT = {"image_size": 32, "patch_size": 8, "num_classes": 3, "dim": 32, "depth": 2, "heads": 2, "mlp_dim": 64}


@program("vit-pytorch")
def vit() -> Any:
    return Trained(ViT(**_VIT, dropout=0.1, emb_dropout=0.1), tune=adam), loader(*images())


@program("vit-pytorch")
def simple_vit() -> Any:
    return Trained(SimpleViT(**_VIT), tune=adamw), loader(*images())


@program("vit-pytorch")
def register_tokens() -> Any:
    return Trained(RegisterViT(**_VIT), tune=adamw), loader(*images())


@program("vit-pytorch")
def deep_vit() -> Any:
    return Trained(DeepViT(**_VIT, dropout=0.1, emb_dropout=0.1)), loader(*images())


@program("vit-pytorch", BEH007="`layer_dropout` leaves layers out in eval mode, too")
def cait() -> Any:
    return Trained(CaiT(**_VIT, cls_depth=1, layer_dropout=0.5)), loader(*images())


@program("vit-pytorch")
def small_dataset() -> Any:
    return Trained(SmallDatasetViT(**_VIT)), loader(*images())


@program("vit-pytorch")
def patch_merger() -> Any:
    return Trained(MergerViT(**{**_VIT, "depth": 4}, patch_merge_layer=2, patch_merge_num_tokens=4)), loader(*images())


@program("vit-pytorch")
def compact_convolutional() -> Any:
    net = CCT((32, 32), embedding_dim=32, n_conv_layers=1, num_layers=2, num_heads=2, num_classes=3, mlp_ratio=2.0)
    return Trained(net, tune=adamw), loader(*images())


@program("vit-pytorch")
def convolutional_tokens() -> Any:
    net = CvT(num_classes=3, s1_emb_dim=16, s1_heads=1, s1_depth=1, s2_emb_dim=16, s2_heads=1, s2_depth=1,
              s3_emb_dim=32, s3_heads=2, s3_depth=1)  # fmt: skip
    return Trained(net), loader(*images(64))


@program("vit-pytorch")
def nested() -> Any:
    net = NesT(image_size=32, patch_size=4, num_classes=3, dim=16, heads=2, num_hierarchies=2, block_repeats=(1, 1))
    return Trained(net), loader(*images())


@program("vit-pytorch")
def tokens_to_tokens() -> Any:
    net = T2TViT(image_size=32, num_classes=3, dim=32, depth=2, heads=2, mlp_dim=64, t2t_layers=((7, 4), (3, 2)))
    return Trained(net), loader(*images())


@program("vit-pytorch")
def distilled_from_a_convnet() -> Any:
    teacher = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.Flatten(),
                                  torch.nn.Linear(8 * 225, 3)).requires_grad_(False)  # fmt: skip
    net = DistillWrapper(student=DistillableViT(**_VIT), teacher=teacher, temperature=3, alpha=0.5, hard=False)
    return Stepping(lambda nets, batch: nets["all"](batch[0], batch[1]), all=net), loader(*images())


@program("x-transformers")
def autoregressive() -> Any:
    net = AutoregressiveWrapper(
        TransformerWrapper(num_tokens=40, max_seq_len=12, attn_layers=Decoder(dim=32, depth=2, heads=2))
    )
    return Stepping(lambda nets, batch: nets["lm"](batch[0]), adamw, lm=net), loader(tokens())


@program("x-transformers")
def rotary_with_glu_and_rmsnorm() -> Any:
    layers = Decoder(dim=32, depth=2, heads=2, rotary_pos_emb=True, ff_glu=True, use_rmsnorm=True, attn_dropout=0.1)
    net = AutoregressiveWrapper(TransformerWrapper(num_tokens=40, max_seq_len=12, attn_layers=layers))
    return Stepping(lambda nets, batch: nets["lm"](batch[0]), adam, lm=net), loader(tokens())


@program("x-transformers")
def encoder_and_decoder() -> Any:
    net = XTransformer(dim=32, enc_num_tokens=40, enc_depth=1, enc_heads=2, enc_max_seq_len=12, dec_num_tokens=40,
                       dec_depth=1, dec_heads=2, dec_max_seq_len=12)  # fmt: skip
    return Stepping(lambda nets, batch: nets["both"](batch[0], batch[1]), both=net), loader(tokens(), tokens().flip(1))


@program("x-transformers")
def images_in_patches() -> Any:
    net = ViTransformerWrapper(
        image_size=32, patch_size=8, num_classes=3, attn_layers=Encoder(dim=32, depth=2, heads=2)
    )
    return Trained(net, tune=adamw), loader(*images())


@program("x-transformers")
def continuous_inputs() -> Any:
    net = ContinuousTransformerWrapper(
        dim_in=4, dim_out=4, max_seq_len=12, attn_layers=Encoder(dim=32, depth=2, heads=2)
    )
    x = drawn(256, 12, 4)
    return Trained(net, torch.nn.functional.mse_loss), loader(x, x.cumsum(1) / 3)


@program("x-transformers")
def sentence_classes() -> Any:
    net = TransformerWrapper(num_tokens=40, max_seq_len=12, attn_layers=Encoder(dim=32, depth=2, heads=2),
                             logits_dim=3, use_cls_token=True, emb_dropout=0.1)  # fmt: skip
    return Trained(net), loader(tokens(), tokens()[:, 0] % 3)
