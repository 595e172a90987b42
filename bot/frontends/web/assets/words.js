// The page's own texts in the reader's language, which come with the state; in them, NUMBER stands for a count.
const NUMBER = "\ue000";
export const words = {};

export const counted = (text, count) => text.replaceAll(NUMBER, count);
