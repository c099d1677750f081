// What a graph of the fake driver does, and what cubins say of kernels.
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <sstream>

#include "graphs.hpp"
#include "state.hpp"

CUgraph_st::CUgraph_st() { ++fake::state().live["graphs"]; }
CUgraph_st::~CUgraph_st() { --fake::state().live["graphs"]; }

CUgraphNode CUgraph_st::add(CUgraphNodeType type, std::vector<CUgraphNode> before,
                            std::string text) {
  nodes.push_back(std::make_unique<CUgraphNode_st>());
  CUgraphNode_st& made = *nodes.back();
  made.number = next++;
  made.type = type;
  made.before = std::move(before);
  made.text = std::move(text);
  return &made;
}

std::unique_ptr<CUgraph_st> CUgraph_st::copy(std::map<CUgraphNode, CUgraphNode>& copies) const {
  auto made = std::make_unique<CUgraph_st>();
  for (const auto& node : nodes) {
    CUgraphNode twin = made->add(node->type, {}, node->text);
    twin->function = node->function;
    twin->arguments = node->arguments;
    twin->memset = node->memset;
    twin->work = node->work;
    std::map<CUgraphNode, CUgraphNode> inner;
    if (node->child) twin->child = node->child->copy(inner);
    copies[node.get()] = twin;
  }
  for (const auto& node : nodes) {
    for (CUgraphNode b : node->before) copies.at(node.get())->before.push_back(copies.at(b));
  }
  return made;
}

bool CUgraph_st::is_like(const CUgraph_st& other) const {
  const auto place = [](const CUgraph_st& g, CUgraphNode node) {
    const auto same = [node](const auto& n) { return n.get() == node; };
    return std::find_if(g.nodes.begin(), g.nodes.end(), same) - g.nodes.begin();
  };
  if (nodes.size() != other.nodes.size()) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const CUgraphNode_st &a = *nodes[i], &b = *other.nodes[i];
    if (a.type != b.type || a.before.size() != b.before.size()) return false;
    for (size_t j = 0; j < a.before.size(); ++j) {
      if (place(*this, a.before[j]) != place(other, b.before[j])) return false;
    }
  }
  return true;
}

void CUgraph_st::run() const {
  std::set<CUgraphNode> done;
  const auto is_next = [&](const auto& node) {
    const auto is_done = [&](CUgraphNode b) { return done.contains(b); };
    return !done.contains(node.get()) && std::ranges::all_of(node->before, is_done);
  };
  for (auto at = nodes.rbegin();
       (at = std::find_if(nodes.rbegin(), nodes.rend(), is_next)) != nodes.rend();) {
    if ((*at)->child) (*at)->child->run();
    if ((*at)->work && (*at)->enabled) (*at)->work();
    done.insert(at->get());
  }
}

std::string CUgraph_st::described(const std::string& indent) const {
  std::ostringstream text;
  for (const auto& node : nodes) {
    text << indent << node->number << " after";
    for (CUgraphNode b : node->before) text << ' ' << b->number;
    text << ": " << node->text;
    for (CUdeviceptr a : node->arguments) text << ' ' << a;
    text << '\n';
    if (node->child) text << node->child->described(indent + "  ");
  }
  return text.str();
}

namespace fake {

std::string described(const CUDA_KERNEL_NODE_PARAMS& p) {
  std::ostringstream text;
  text << p.func->name << " grid " << p.gridDimX << ' ' << p.gridDimY << ' ' << p.gridDimZ
       << " block " << p.blockDimX << ' ' << p.blockDimY << ' ' << p.blockDimZ << " shared "
       << p.sharedMemBytes;
  return text.str();
}

std::vector<CUdeviceptr> arguments_of(const CUDA_KERNEL_NODE_PARAMS& p) {
  std::vector<CUdeviceptr> found(static_cast<size_t>(p.func->parameters));
  for (size_t i = 0; i < found.size(); ++i) std::memcpy(&found[i], p.kernelParams[i], 8);
  return found;
}

bool is_cubin(const void* image) { return std::memcmp(image, ELFMAG, SELFMAG) == 0; }

// Section `.nv.info.NAME` has a record of kind 0x17 for each parameter.
int count_parameters(const void* image, const std::string& kernel) {
  if (image == nullptr) return 0;
  const char* bytes = static_cast<const char*>(image);
  const auto* head = reinterpret_cast<const Elf64_Ehdr*>(bytes);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes + head->e_shoff);
  const char* names = bytes + sections[head->e_shstrndx].sh_offset;
  int count = 0;
  for (int i = 0; i < head->e_shnum; ++i) {
    const Elf64_Shdr& s = sections[i];
    if (names + s.sh_name != ".nv.info." + kernel) continue;
    for (size_t at = s.sh_offset; at < s.sh_offset + s.sh_size; at += 4) {
      const auto form = static_cast<unsigned char>(bytes[at]);
      uint16_t size = 0;
      std::memcpy(&size, bytes + at + 2, sizeof size);
      if (form != 4) continue;
      if (bytes[at + 1] == 0x17) ++count;
      at += size;
    }
  }
  return count;
}

}  // namespace fake
