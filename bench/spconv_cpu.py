#!/usr/bin/env python3
"""Times the CenterPoint backbone (VoxelResBackBone8x) with spconv's own CPU wheel, float32.

The peer of `voxgemm bench --network centerpoint` on the same voxels and threads. Needs `pip install spconv torch`
in an environment of its own. Batch norm is folded away and its bias left out (spconv's CPU path takes
none), which flatters the peer; indice pairs are shared by key and rebuilt every frame.

    python3 bench/spconv_cpu.py --indices in_indices.npy|.tensor --features in_features.npy|.tensor --threads 2
"""
import argparse
import statistics
import struct
import time

import numpy as np
import spconv.pytorch as spconv
import torch
from spconv.core import ConvAlgo
from torch import nn


def load(path):
    if path.endswith(".npy"):
        return np.load(path)
    with open(path, "rb") as file:
        magic, ndim, kind = struct.unpack("<III", file.read(12))
        if magic != 0x33FF1101:
            raise SystemExit(f"{path}: not a .tensor file")
        shape = struct.unpack(f"<{ndim}i", file.read(4 * ndim))
        dtype = {1: np.int32, 2: np.float16, 3: np.float32}[kind]
        return np.frombuffer(file.read(), dtype=dtype).reshape(shape)


def subm(c_in, c_out, key):
    return spconv.SubMConv3d(c_in, c_out, 3, bias=False, indice_key=key, algo=ConvAlgo.Native)


def down(c_in, c_out, kernel, stride, padding, key):
    return spconv.SparseConv3d(c_in, c_out, kernel, stride, padding, bias=False, indice_key=key, algo=ConvAlgo.Native)


def relu(x):
    return x.replace_feature(torch.relu(x.features))


class Block(nn.Module):
    def __init__(self, channels, key):
        super().__init__()
        self.conv1 = subm(channels, channels, key)
        self.conv2 = subm(channels, channels, key)

    def forward(self, x):
        y = self.conv2(relu(self.conv1(x)))
        return y.replace_feature(torch.relu(y.features + x.features))


class Backbone(nn.Module):
    def __init__(self, c_in):
        super().__init__()
        self.stem = subm(c_in, 16, "res1")
        stages, before = [], 16
        for i, (channels, padding) in enumerate([(16, None), (32, 1), (64, 1), (128, [0, 1, 1])]):
            if padding is not None:
                stages.append(down(before, channels, 3, 2, padding, f"down{i}"))
            stages += [Block(channels, f"res{i + 1}"), Block(channels, f"res{i + 1}")]
            before = channels
        stages.append(down(128, 128, [3, 1, 1], [2, 1, 1], 0, "out"))
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        x = relu(self.stem(x))
        for stage in self.stages:
            x = stage(x)
            if not isinstance(stage, Block):
                x = relu(x)
        return x.dense()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--indices", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--shape", type=int, nargs=3, default=[41, 1440, 1440])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    indices = torch.from_numpy(load(args.indices).astype(np.int32))
    features = torch.from_numpy(load(args.features).astype(np.float32))
    net = Backbone(features.shape[1]).eval()
    times = []
    with torch.no_grad():
        for frame in range(args.frames + 1):
            start = time.perf_counter()
            net(spconv.SparseConvTensor(features, indices, args.shape, 1))
            if frame > 0:
                times.append(1e3 * (time.perf_counter() - start))
    print(f"spconv {spconv.__version__ if hasattr(spconv, '__version__') else ''} CPU float32, {len(indices)} voxels, "
          f"{args.threads} thread(s): median {statistics.median(times):.1f} ms, min {min(times):.1f}, max {max(times):.1f}")


if __name__ == "__main__":
    main()
