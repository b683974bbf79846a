// How far the hyper-parameters of a checkpoint may go, for each format that has them.
#pragma once
#include "lib/Checkpoint/KeyReader.h"

namespace stepdown {

/// Far above every published model, far below what would overflow a product of two.
constexpr uint64_t kMostLayers = 4096, kMostWidth = 1u << 20, kMostHeads = 1u << 14, kMostHeadSize = 1u << 14;
constexpr uint64_t kMostVocabulary = 1u << 24, kMostContext = 1u << 30;
constexpr uint64_t kMostExperts = 1024, kMostExpertsUsed = 64;

/// The same of numbers with a fraction; beyond, sums and products of float32 would overflow or lose all their digits.
constexpr KeyRange kEpsilons = {0, 1, false}, kScales = {0x1p-126, 0x1p20, true};
constexpr KeyRange kSoftcaps = {0x1p-126, 1024,
                                true}; ///< times the error of tanh, which does not shrink with its argument
constexpr KeyRange kMagnitudes = {0x1p-126, 64, false}; ///< of keys, too, which the cache holds as binary16
constexpr KeyRange kLogMultipliers = {0, 1024, false};

} // namespace stepdown
