#include "bindings/replay.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "ops.hpp"

namespace ostinato::python {
namespace {

bool has_grad(const Tensor& t) { return t->autograd && t->autograd->grad; }

Given given_number(int input, nb::handle value) {
  Given g{input};
  PyObject* o = value.ptr();
  if (PyFloat_Check(o)) {
    g.real = PyFloat_AS_DOUBLE(o);
    return g;
  }
  return Given::number(input, operand_from(o, "compiled", "a live number"));
}

}  // namespace

bool Replay::Guard::holds(nb::handle leaves) const {
  nb::object now = read(leaves);
  if (kind.ptr() != reinterpret_cast<PyObject*>(&PyBool_Type)) return kind(now).equal(value);
  int truth = PyObject_IsTrue(now.ptr());
  if (truth < 0) throw PythonError{};
  return truth == (value.ptr() == Py_True);
}

Replay::Replay(nb::object program, nb::handle region)
    : owner_(program),
      tensors_(region),
      indices_(region),
      reads_(nb::object(region.attr("reads"))),
      inputs_(nb::len(nb::object(region.attr("sources")))) {
  nb::try_cast(program, program_);
  nb::try_cast(program, region_);
  int input = 0;
  for (nb::handle s : nb::object(region.attr("sources"))) add_source(input++, s);
  for (nb::handle g : nb::object(region.attr("guards"))) {
    guards_.push_back({Reader(g[0]), nb::object(g[1]), nb::object(g[2])});
  }
  for (nb::handle g : nb::object(region.attr("grad_guards"))) {
    grad_guards_.emplace_back(TensorSource(g[0]), nb::cast<bool>(g[1]));
  }
  for (nb::handle r : nb::object(region.attr("returned"))) {
    add_returned(nb::cast<std::string>(r[0]), r[1]);
  }
  for (nb::handle g : nb::object(region.attr("grads"))) {
    const int at = g[1].is_none() ? -1 : want(nb::cast<int>(g[1]));
    grads_.emplace_back(TensorSource(g[0]), at);
  }
  for (nb::handle a : nb::object(region.attr("assigned"))) {
    assigned_.push_back({want(nb::cast<int>(a[0])), nb::cast<int>(a[1])});
  }
  for (nb::handle w : nb::object(region.attr("watched"))) add_watched(w);
  const auto spare = nb::cast<std::vector<int>>(nb::object(region.attr("spare")));
  if (spare.empty()) return;
  if (program_) program_->may_spare(spare);
  if (region_) region_->may_spare(spare);
}

bool Replay::fits(nb::handle leaves) {
  for (const auto& [leaf, had] : grad_guards_) {
    if (has_grad(Tensor(leaf.find(leaves))) != had) return false;
  }
  if (!tensors_.hold(leaves) || !reads_.hold()) return false;
  for (const Guard& g : guards_) {
    if (!g.holds(leaves)) return false;
  }
  return tensors_.are_apart(leaves);
}

nb::list Replay::run(nb::list leaves) {
  if (watched_.empty()) return hand_out(leaves, launch(leaves));
  const Turns turns = take_turns(leaves);
  const std::vector<Tensor> made = run_program(leaves, wanted_for(turns));
  leave_behind(leaves, made);
  record(turns, made);
  return returned(leaves, made);
}

std::vector<Tensor> Replay::inputs(nb::list leaves) const {
  std::vector<Tensor> now = inputs_;
  for (const Source& s : sources_) now[s.input] = find(s, leaves).as_tensor();
  return now;
}

std::vector<Tensor> Replay::run_program(nb::list leaves, std::span<const int> wanted) {
  indices_.check(leaves);
  ++runs_;
  std::vector<Tensor> made(wanted.size());
  if (region_) {
    run_region(leaves, wanted, made);
    return made;
  }
  SmallVector<Given, 16> given;
  for (const Source& s : sources_) given.push_back(find(s, leaves));
  nb::gil_scoped_release unlocked;
  program_->run(given, wanted, made.data());
  return made;
}

std::vector<Tensor> Replay::run_for_held(nb::list leaves, const std::vector<bool>& spared) {
  std::vector<int> wanted = wanted_;
  for (size_t i = 0; i < spared.size(); ++i) {
    if (spared[i] && returned_[i].wanted >= 0) wanted[returned_[i].wanted] = kSpared;
  }
  const std::vector<Tensor> made = run_program(leaves, wanted);
  leave_behind(leaves, made);
  std::vector<Tensor> out;
  for (const Returned& r : returned_) {
    const bool is_spared = r.wanted >= 0 && !made[r.wanted];
    out.push_back(is_spared           ? Tensor()
                  : r.same.is_valid() ? tensor_of(r.same.ptr())
                                      : tensor_for(r, made, leaves));
  }
  return out;
}

nb::list Replay::hand_out(nb::list leaves, const std::vector<Tensor>& made) const {
  leave_behind(leaves, made);
  if (!watched_.empty()) record(take_turns(leaves), made);
  return returned(leaves, made);
}

nb::list Replay::returned(nb::list leaves, std::span<const Tensor> made) const {
  nb::list out;
  for (const Returned& r : returned_) out.append(handed(r, made, leaves));
  return out;
}

void Replay::leave_behind(nb::list leaves, std::span<const Tensor> made) const {
  if (!assigned_.empty()) assign(inputs(leaves), made);
  for (const auto& [source, at] : grads_) {
    const Tensor leaf(source.find(leaves));
    if (at >= 0)
      autograd_state(leaf).grad = made[at];
    else if (has_grad(leaf))
      leaf->autograd->grad = Tensor();
  }
}

// Before the Program runs, so that another thread meanwhile takes the next ones.
Replay::Turns Replay::take_turns(nb::handle leaves) const {
  const int64_t call = Channel::next_call();
  Turns turns;
  for (const Watched& w : watched_) {
    const int64_t every = w.read ? nb::cast<int64_t>((*w.read)(leaves)) : w.every;
    turns.push_back(w.channel->take_turn(call, every));
  }
  return turns;
}

std::vector<int> Replay::wanted_for(const Turns& turns) const {
  std::vector<int> wanted = wanted_;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].keeps) continue;
    for (int at : watched_[i].wanted) wanted[at] = kSpared;
  }
  return wanted;
}

void Replay::record(const Turns& turns, std::span<const Tensor> made) const {
  for (size_t i = 0; i < turns.size(); ++i) {
    if (!turns[i].keeps) continue;
    std::vector<Tensor> parts;
    for (int at : watched_[i].wanted) parts.push_back(made[at]);
    watched_[i].channel->keep(turns[i], parts);
  }
}

nb::object Replay::handed(const Returned& r, std::span<const Tensor> made, nb::handle leaves) {
  if (r.live) return (*r.live)(leaves);
  if (r.wanted < 0 && !r.tensor) return r.same;
  return nb::cast(tensor_for(r, made, leaves));
}

Tensor Replay::tensor_for(const Returned& r, std::span<const Tensor> made, nb::handle leaves) {
  const Tensor t = r.tensor ? Tensor(r.tensor->find(leaves)) : made[r.wanted];
  return r.view.empty() ? t : apply_views(t, r.view);
}

void Replay::run_region(nb::list leaves, std::span<const int> wanted,
                        std::span<Tensor> made) const {
  const std::vector<Tensor> now = inputs(leaves);
  note_call_site(now);
  nb::gil_scoped_release unlocked;
  const std::vector<Tensor> results = region_->run(now, wanted);
  for (size_t i = 0; i < made.size(); ++i) {
    if (wanted[i] != kSpared) made[i] = results[wanted[i]];
  }
}

void Replay::assign(std::span<const Tensor> now, std::span<const Tensor> made) const {
  nb::gil_scoped_release unlocked;
  for (const auto& [at, target] : assigned_) {
    const Tensor pair[] = {now[target], made[at]};
    call_op_inplace(op_info(op::copy), pair, {});
  }
}

void Replay::add_source(int input, nb::handle described) {
  if (nb::cast<std::string>(described[0]) == "number") {
    sources_.push_back({input, {}, Reader(described[1])});
    return;
  }
  const TensorSource source(described);
  if (!source.is_fixed()) {
    sources_.push_back({input, source});
    return;
  }
  inputs_[input] = Tensor(source.find({}));
  if (program_) program_->keep(input, inputs_[input]);
}

// ("value", result), ("live", reader), ("tensor", source), ("same", object), or
// ("view", (one of the first and the third, steps)).
void Replay::add_returned(const std::string& kind, nb::handle what) {
  Returned r;
  if (kind == "view") {
    add_returned(nb::cast<std::string>(what[0][0]), nb::object(what[0][1]));
    returned_.back().view = nb::cast<ViewSteps>(what[1]);
    return;
  }
  if (kind == "value")
    r.wanted = want(nb::cast<int>(what));
  else if (kind == "live")
    r.live.emplace(nb::borrow(what));
  else if (kind == "tensor")
    r.tensor.emplace(what);
  else
    r.same = nb::borrow(what);
  returned_.push_back(std::move(r));
}

// (channel, numbers of results, every how many calls, how to read that or None).
void Replay::add_watched(nb::handle described) {
  Watched w{nb::object(described[0]), nullptr, {}, nb::cast<int64_t>(described[2])};
  w.channel = nb::cast<Channel*>(w.owner);
  for (nb::handle result : nb::object(described[1]))
    w.wanted.push_back(want(nb::cast<int>(result)));
  if (!described[3].is_none()) w.read.emplace(nb::object(described[3]));
  watched_.push_back(std::move(w));
}

int Replay::want(int output) {
  wanted_.push_back(output);
  return static_cast<int>(wanted_.size()) - 1;
}

Given Replay::find(const Source& s, nb::handle leaves) {
  if (s.read) return given_number(s.input, (*s.read)(leaves));
  Given g{s.input};
  g.tensor = s.tensor->find(leaves);
  return g;
}

int Replay::traverse(visitproc visit, void* arg) const {
  Py_VISIT(owner_.ptr());
  for (const Source& s : sources_) {
    if (s.read) Py_VISIT(s.read->ptr());
  }
  for (const Guard& g : guards_) {
    Py_VISIT(g.read.ptr());
    Py_VISIT(g.kind.ptr());
    Py_VISIT(g.value.ptr());
  }
  for (const Returned& r : returned_) {
    if (r.live) Py_VISIT(r.live->ptr());
    Py_VISIT(r.same.ptr());
  }
  for (const Watched& w : watched_) {
    Py_VISIT(w.owner.ptr());
    if (w.read) Py_VISIT(w.read->ptr());
  }
  return reads_.traverse(visit, arg);
}

void Replay::clear() {
  sources_.clear();
  guards_.clear();
  returned_.clear();
  watched_.clear();
  reads_.clear();
  owner_.reset();
}

}  // namespace ostinato::python
