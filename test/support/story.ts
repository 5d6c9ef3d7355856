/**
 * What the shipped model says at temperature 0, by the strict build; PyTorch says the same
 * (train/vectors.py prints it). Follows the model: update it with models/stories/.
 */
export const STORY = {
	prompt: "Once upon a time",
	maxTokens: 60,
	text: "",
};
