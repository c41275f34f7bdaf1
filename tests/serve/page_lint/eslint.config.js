// Rules for the page's modules; run in the repository's root.

module.exports = [
  {
    files: ["src/impasto/serve/page/js/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module" },
    rules: {
      "no-unused-vars": ["error", { varsIgnorePattern: "^_", argsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-shadow": "error",
      "no-unreachable": "error",
      "no-duplicate-imports": "error",
      "no-self-assign": "error",
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }],
      semi: "error",
    },
  },
  { files: ["src/impasto/serve/page/js/mask_*.js"], rules: { "no-shadow": "off" } },
];
