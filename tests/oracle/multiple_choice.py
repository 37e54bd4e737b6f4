"""A task of multiple choice for lm-eval, made of documents of our own."""

import json


def write_task(directory: str, name: str, documents: list[dict]) -> None:
    """Writes what lm-eval needs to find the task in a directory; a document has question, choices and answer."""
    with open(f"{directory}/documents.jsonl", "w") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents)
    with open(f"{directory}/{name}.yaml", "w") as file:
        file.write(
            f"""task: {name}
dataset_path: json
dataset_kwargs: {{ data_files: {{ test: {directory}/documents.jsonl }} }}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
target_delimiter: ""
metric_list: [{{ metric: acc }}]
"""
        )
