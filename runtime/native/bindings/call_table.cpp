#include "bindings/call_table.hpp"

#include <algorithm>

#include "trace/tracer.hpp"

namespace ostinato::python {
namespace {

bool is_number(PyObject* o) { return PyFloat_CheckExact(o) || PyLong_CheckExact(o); }

}  // namespace

CallTable::Settings CallTable::Settings::now() {
  return {grad_enabled(), ostinato::autocast(), creation_device(), cuda::blas::float32_precision()};
}

bool CallTable::Settings::operator==(const Settings& other) const {
  return grad == other.grad && autocast.cpu == other.autocast.cpu &&
         autocast.cuda == other.autocast.cuda && device == other.device &&
         precision == other.precision;
}

CallTable::Argument::Argument(nb::handle given) {
  PyObject* o = given.ptr();
  if (!is_tensor(o)) {
    value = nb::borrow(is_number(o) ? reinterpret_cast<PyObject*>(Py_TYPE(o)) : o);
    return;
  }
  const Tensor& t = tensor_of(o);
  dtype = t.dtype();
  sizes = t.sizes();
  device = t.device();
  requires_grad = ostinato::requires_grad(t);
  leaf = is_leaf(t);
}

bool CallTable::Argument::takes(PyObject* o) const {
  if (value.is_valid()) {
    PyObject* v = value.ptr();
    if (is_number(o)) return v == reinterpret_cast<PyObject*>(Py_TYPE(o));
    if (v == o) return true;
    return PyUnicode_CheckExact(v) && PyUnicode_CheckExact(o) && PyUnicode_Compare(v, o) == 0;
  }
  if (!is_tensor(o)) return false;
  const Tensor& t = tensor_of(o);
  return t.dtype() == dtype && t.sizes() == sizes && t.device() == device &&
         ostinato::requires_grad(t) == requires_grad && is_leaf(t) == leaf;
}

bool CallTable::Row::takes(nb::handle given) const {
  const auto count = static_cast<size_t>(PyTuple_GET_SIZE(given.ptr()));
  if (count != arguments.size()) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!arguments[i].takes(PyTuple_GET_ITEM(given.ptr(), static_cast<Py_ssize_t>(i)))) {
      return false;
    }
  }
  return true;
}

void CallTable::add(nb::object replay, nb::tuple arguments, nb::object result) {
  Row row{replay, nb::cast<Replay*>(replay), {}, Settings::now(), std::move(result)};
  for (nb::handle a : arguments) row.arguments.emplace_back(a);
  rows_.push_back(std::move(row));
}

void CallTable::remove(nb::handle replay) {
  std::erase_if(rows_, [&](const Row& row) { return row.owner.is(replay); });
}

nb::object CallTable::call(nb::tuple arguments, nb::dict keywords) {
  const nb::object none_fits = nb::borrow(Py_NotImplemented);
  if (rows_.empty() || nb::len(keywords) || Tracer::active()) return none_fits;
  const Settings settings = Settings::now();
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].settings != settings || !rows_[i].takes(arguments)) continue;
    const nb::list leaves(arguments);
    if (!rows_[i].replay->fits(leaves)) continue;
    // The row may go while user code runs.
    const nb::object owner = rows_[i].owner, result = rows_[i].result;
    const nb::list made = rows_[i].replay->run(leaves);
    return result.is_none() ? nb::object(made[0]) : result(made);
  }
  return none_fits;
}

int CallTable::traverse(visitproc visit, void* arg) const {
  for (const Row& row : rows_) {
    Py_VISIT(row.owner.ptr());
    Py_VISIT(row.result.ptr());
    for (const Argument& a : row.arguments) Py_VISIT(a.value.ptr());
  }
  return 0;
}

}  // namespace ostinato::python
