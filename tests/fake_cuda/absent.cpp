// Functions that the runtime looks up and no test calls yet; without cuda.h, for their parameters
// do not matter.

namespace {
constexpr int kNotSupported = 801;
}

#define FAKE_ABSENT(name) \
  extern "C" __attribute__((visibility("default"))) int name() { return kNotSupported; }

FAKE_ABSENT(cuMemcpyHtoD_v2)
FAKE_ABSENT(cuMemcpyDtoH_v2)
FAKE_ABSENT(cuStreamBeginCapture_v2)
FAKE_ABSENT(cuStreamEndCapture)
FAKE_ABSENT(cuGraphCreate)
FAKE_ABSENT(cuGraphDestroy)
FAKE_ABSENT(cuGraphAddKernelNode_v2)
FAKE_ABSENT(cuGraphAddChildGraphNode)
FAKE_ABSENT(cuGraphAddMemcpyNode)
FAKE_ABSENT(cuGraphAddMemsetNode)
FAKE_ABSENT(cuGraphAddEmptyNode)
FAKE_ABSENT(cuGraphAddDependencies_v2)
FAKE_ABSENT(cuGraphGetNodes)
FAKE_ABSENT(cuGraphNodeGetType)
FAKE_ABSENT(cuGraphNodeGetDependencies_v2)
FAKE_ABSENT(cuGraphNodeGetDependentNodes_v2)
FAKE_ABSENT(cuGraphMemsetNodeGetParams)
FAKE_ABSENT(cuGraphDestroyNode)
FAKE_ABSENT(cuGraphKernelNodeGetParams_v2)
FAKE_ABSENT(cuGraphInstantiateWithFlags)
FAKE_ABSENT(cuGraphLaunch)
FAKE_ABSENT(cuGraphUpload)
FAKE_ABSENT(cuGraphExecDestroy)
FAKE_ABSENT(cuGraphExecKernelNodeSetParams_v2)
FAKE_ABSENT(cuGraphExecChildGraphNodeSetParams)
FAKE_ABSENT(cuGraphExecMemcpyNodeSetParams)
FAKE_ABSENT(cuGraphExecMemsetNodeSetParams)
