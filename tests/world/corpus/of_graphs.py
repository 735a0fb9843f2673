"""Graph nets of PyTorch Geometric: classes of nodes and of graphs, links and distances."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from program import Stepping, adam, adamw, add, drawn, program, seeded
from torch import Tensor, nn
from torch_geometric import nn as gnn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

_KINDS = ("GCN", "GraphSAGE", "GIN", "GAT", "PNA", "EdgeCNN")


def graphs(count: int = 256) -> list[Data]:
    """Graphs of 5 to 9 nodes; the class says whether the nodes' first feature is positive on average."""
    found = []
    for number in range(count):
        generator = seeded(number)
        nodes = 5 + number % 5
        edges = torch.randint(nodes, (2, 3 * nodes), generator=generator)
        x = torch.randn(nodes, 6, generator=generator) + (number % 2 - 0.5)
        lengths = torch.rand(3 * nodes, 4, generator=generator)
        found.append(Data(x, edges, lengths, y=torch.tensor([number % 2]), pos=drawn(nodes, 3, seed=number)))
    return found


def one_graph() -> Data:
    x = drawn(600, 8)
    edges = torch.randint(600, (2, 3000), generator=seeded())
    train = torch.rand(600, generator=seeded(1)) < 0.6
    return Data(x, edges, y=x[:, :3].argmax(1), train_mask=train, val_mask=~train)


def _classes_of_graphs(kind: str, tune: Any) -> Any:
    extra = {"aggregators": ["mean", "max"], "scalers": ["identity"], "deg": torch.ones(20)} if kind == "PNA" else {}
    norm = {"norm": "batch_norm"} if kind == "GIN" else {}
    net = getattr(gnn, kind)(6, 16, 2, dropout=0.0, **extra, **norm)

    def step(parts: Any, batch: Any) -> Tensor:
        return F.cross_entropy(
            parts["head"](gnn.global_mean_pool(parts["gnn"](batch.x, batch.edge_index), batch.batch)), batch.y
        )

    return Stepping(step, tune, gnn=net, head=nn.Linear(16, 2)), DataLoader(graphs(), 32, shuffle=True)


def _classes_of_nodes(kind: str, tune: Any) -> Any:
    extra = {"aggregators": ["mean", "max"], "scalers": ["identity"], "deg": torch.ones(20)} if kind == "PNA" else {}
    net = getattr(gnn, kind)(8, 16, 2, 3, dropout=0.2, **extra)

    def step(parts: Any, data: Any) -> Tensor:
        return F.cross_entropy(parts["gnn"](data.x, data.edge_index)[data.train_mask], data.y[data.train_mask])

    return Stepping(step, tune, gnn=net), DataLoader([one_graph()], 1)


for _number, _kind in enumerate(_KINDS):
    add("torch_geometric", f"graphs_{_kind}", partial(_classes_of_graphs, _kind, (adam, adamw)[_number % 2]))
    add("torch_geometric", f"nodes_{_kind}", partial(_classes_of_nodes, _kind, (adamw, adam)[_number % 2]))


@program("torch_geometric")
def links_by_inner_products() -> Any:
    net = gnn.GAE(gnn.GCN(8, 16, 2, 8))

    def step(parts: Any, data: Any) -> Tensor:
        return parts["gae"].recon_loss(parts["gae"].encode(data.x, data.edge_index), data.edge_index)

    return Stepping(step, gae=net), DataLoader([one_graph()], 1)


@program("torch_geometric")
def attentive_fingerprints() -> Any:
    net = gnn.AttentiveFP(6, 16, 1, edge_dim=4, num_layers=2, num_timesteps=2)

    def step(parts: Any, data: Any) -> Tensor:
        out = parts["net"](data.x, data.edge_index, data.edge_attr, data.batch)
        return F.binary_cross_entropy_with_logits(out.squeeze(1), data.y.float())

    return Stepping(step, net=net), DataLoader(graphs(), 32, shuffle=True)


@program("torch_geometric")
def points() -> Any:
    net = gnn.PointNetConv(nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 16)))

    def step(parts: Any, data: Any) -> Tensor:
        hidden = parts["conv"](data.x, data.pos, data.edge_index).relu()
        return F.cross_entropy(parts["head"](gnn.global_max_pool(hidden, data.batch)), data.y)

    return Stepping(step, conv=net, head=nn.Linear(16, 2)), DataLoader(graphs(), 32, shuffle=True)


class Pairs(nn.Module):
    """All pairs of nodes in one graph, and their distances."""

    def forward(self, pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        edges = ((batch[:, None] == batch[None]) & ~torch.eye(len(batch), dtype=torch.bool)).nonzero().T
        return edges, (pos[edges[0]] - pos[edges[1]]).norm(dim=1)


@program("torch_geometric")
def molecules_by_distance() -> Any:
    net = gnn.SchNet(16, 16, 2, 8, cutoff=5.0)

    def step(parts: Any, data: Any) -> Tensor:
        numbers = (data.x[:, 0] > 0).long() + 6
        return F.mse_loss(parts["schnet"](numbers, data.pos, data.batch).squeeze(1), data.y.float())

    net.interaction_graph = Pairs()
    return Stepping(step, schnet=net), DataLoader(graphs(), 32, shuffle=True)


@program("torch_geometric")
def graph_transformer() -> Any:
    conv = gnn.GPSConv(16, gnn.GINConv(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16))), heads=2)

    def step(parts: Any, data: Any) -> Tensor:
        hidden = parts["conv"](parts["embed"](data.x), data.edge_index, data.batch)
        return F.cross_entropy(parts["head"](gnn.global_add_pool(hidden, data.batch)), data.y)

    return Stepping(step, embed=nn.Linear(6, 16), conv=conv, head=nn.Linear(16, 2)), DataLoader(
        graphs(), 32, shuffle=True
    )


@program("torch_geometric")
def predictions_that_spread() -> Any:
    def step(parts: Any, data: Any) -> Tensor:
        smooth = gnn.APPNP(3, 0.1)(parts["mlp"](data.x), data.edge_index)
        return F.nll_loss(smooth.log_softmax(1)[data.train_mask], data.y[data.train_mask])

    return Stepping(step, mlp=gnn.MLP([8, 16, 3], dropout=0.5)), DataLoader([one_graph()], 1)
