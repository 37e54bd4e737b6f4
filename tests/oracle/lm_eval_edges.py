"""The task of contexts and choices at the edge of what there is, as lm-eval reads it."""

EDGE_TASK = {"output_type": "multiple_choice", "test_split": "test", "doc_to_text": "{{context}}", "doc_to_choice": "choices",
             "doc_to_target": "answer", "target_delimiter": "",
             "metric_list": [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes", "exact_match")]}
