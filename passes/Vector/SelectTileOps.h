// Tile operations whose selection has a file of its own.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "passes/Vector/Emitter.h"

namespace stepdown {
/// Replaces an `adapt` on memrefs by loops.
void selectAdapt(tile::AdaptOp op, Emitter &emitter);
/// The same with an `attend`.
void selectAttend(tile::AttendOp op, Emitter &emitter);
/// The same with a `cache_store`.
void selectCacheStore(tile::CacheStoreOp op, Emitter &emitter);
/// The same with a `combine`.
void selectCombine(tile::CombineOp op, Emitter &emitter);
/// The same with a `route`.
void selectRoute(tile::RouteOp op, Emitter &emitter);
/// The same with a `pack_activation`.
void selectPack(tile::PackActivationOp op, Emitter &emitter);
} // namespace stepdown
