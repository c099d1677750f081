#include "cuda/free_blocks.hpp"

#include <bit>

namespace ostinato::cuda {

Block*& FreeBlocks::list_of(const Block* block) {
  return block->segment->small ? small_[block->bytes / kGrain - 1] : large_[block->bytes];
}

// Keeps the index of lists that are not empty.
void FreeBlocks::note(const Block* block, bool any) {
  if (!block->segment->small) {
    if (!any) large_.erase(block->bytes);
    return;
  }
  const size_t bin = block->bytes / kGrain - 1, word = bin / kWord;
  const uint64_t bit = uint64_t{1} << bin % kWord, word_bit = uint64_t{1} << word;
  filled_[word] = any ? filled_[word] | bit : filled_[word] & ~bit;
  filled_words_ = filled_[word] != 0 ? filled_words_ | word_bit : filled_words_ & ~word_bit;
}

void FreeBlocks::insert(Block* block) {
  Block*& head = list_of(block);
  block->previous = nullptr;
  block->next = head;
  if (head != nullptr) head->previous = block;
  head = block;
  note(block, true);
}

void FreeBlocks::remove(Block* block) {
  if (block->next != nullptr) block->next->previous = block->previous;
  if (block->previous != nullptr) {
    block->previous->next = block->next;
  } else {
    list_of(block) = block->next;
    if (block->next == nullptr) note(block, false);
  }
  block->previous = block->next = nullptr;
}

Block* FreeBlocks::find(size_t bytes, bool small) const {
  if (small) return find_small(bytes / kGrain - 1);
  const auto it = large_.lower_bound(bytes);
  return it == large_.end() ? nullptr : it->second;
}

Block* FreeBlocks::find_small(size_t bin) const {
  size_t word = bin / kWord;
  const uint64_t here = filled_[word] & (~uint64_t{0} << bin % kWord);
  if (here != 0) return small_[word * kWord + static_cast<size_t>(std::countr_zero(here))];
  if (++word == kWord) return nullptr;
  const uint64_t words = filled_words_ & (~uint64_t{0} << word);
  if (words == 0) return nullptr;
  word = static_cast<size_t>(std::countr_zero(words));
  return small_[word * kWord + static_cast<size_t>(std::countr_zero(filled_[word]))];
}

}  // namespace ostinato::cuda
