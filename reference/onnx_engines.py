"""Engines that read what `ssdlite export --to onnx` writes."""

import numpy as np
import onnxruntime
import openvino


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, path, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, images):
        found = self.session.run(self.outputs, {self.input: images})
        return dict(zip(self.outputs, found))


class OpenVino:
    name = "OpenVINO"

    def __init__(self, path):
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(self, images):
        found = self.model([images])
        outputs = [(name, output) for output in self.model.outputs for name in output.names]
        return {name: np.array(found[output]) for name, output in outputs}


ENGINES = [OnnxRuntime, OpenVino]
