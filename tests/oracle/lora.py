"""Writes LoRA adapters of tiny models as PEFT saves them, with the log-probabilities that it computes.

Run: python tests/oracle/lora.py tests/testdata/families tests/testdata/lora   (torch 2.13, peft 0.21)
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

IDS = [1, 5, 17, 80, 33, 2, 64, 91, 9, 41, 12, 70, 3]
CASES = {
    "llama_attention": ("llama_llama3_gqa_tied", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj"])),
    "llama_all": ("llama_llama3_gqa_tied", dict(
        r=3, lora_alpha=6, use_rslora=True, target_modules="all-linear",
        rank_pattern={"down_proj": 5, "layers.1.self_attn.k_proj": 2}, alpha_pattern={"up_proj": 9})),
    "qwen_mlp": ("qwen2_tied", dict(r=8, lora_alpha=4, target_modules=["gate_proj", "down_proj"])),
}

families, out = Path(sys.argv[1]), Path(sys.argv[2])
for at, (name, (family, config)) in enumerate(CASES.items()):
    torch.manual_seed(at)
    model = AutoModelForCausalLM.from_pretrained(families / family, dtype=torch.float32, attn_implementation="eager")
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **config))
    with torch.no_grad():
        for key, parameter in peft.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn(parameter.shape) * (0.4 if "lora_A" in key else 0.3))
        peft.eval()
        logits = peft(torch.tensor([IDS])).logits[0].float()
    peft.save_pretrained(out / name)
    (out / name / "README.md").unlink(missing_ok=True)
    scores = torch.log_softmax(logits, -1)
    (out / name / "oracle.json").write_text(json.dumps({
        "family": family, "ids": IDS,
        "logprobs": [round(scores[i, IDS[i + 1]].item(), 6) for i in range(len(IDS) - 1)],
        "next": int(logits[-1].argmax()),
    }))
    print(name, len(load_file(out / name / "adapter_model.safetensors")))
