"""Operations: one name for each torch function in all its spellings, and the families that rules refer to."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text, as a set."""
    return frozenset(text.split())


# a layer's weights, or a product of two tensors, are between the input and the output
WEIGHTS = words("""
    linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv_tbc convolution bilinear
    matmul mm bmm addmm addbmm baddbmm addmv addr mv einsum tensordot dot inner outer scaled_dot_product_attention
    multi_head_attention_forward lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
    embedding_bag
""")
# the same numbers in another order, shape or type
SHAPES = words("""
    view reshape flatten unflatten permute transpose swapaxes swapdims movedim moveaxis squeeze unsqueeze expand
    expand_as contiguous clone to float double half bfloat16 type type_as cpu cuda detach alias T mT t H chunk split
    tensor_split unbind getitem select narrow index_select view_as reshape_as ravel flip roll repeat tile
    channel_shuffle pixel_shuffle pixel_unshuffle unfold identity requires_grad pin_memory
""")
ACTIVATIONS = words("""
    relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus softsign
    logsigmoid prelu rrelu threshold glu softmax log_softmax softmin tanhshrink softshrink hardshrink
""")
POOLS = frozenset(
    f"{kind}_pool{n}d"
    for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp", "fractional_max")
    for n in (1, 2, 3)
)
DROPOUTS = words("dropout dropout1d dropout2d dropout3d feature_dropout")
RECURRENT = words("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell")
LOSSES = words("""
    cross_entropy nll_loss binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss
    huber_loss kl_div gaussian_nll_loss poisson_nll_loss hinge_embedding_loss margin_ranking_loss soft_margin_loss
    multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss triplet_margin_loss cosine_embedding_loss
    ctc_loss
""")
# random draws, from which masks are computed
RANDOM = words("bernoulli rand randn random exponential randint randperm multinomial poisson normal randint_like")
