// Runs on whatever Node the user has; everything else runs on the one that package.json brings.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
	console.error(
		`This is Node ${process.version}; 22.12 or newer is needed. "npm ci" brings Node 24 with it on ` +
			"Linux and x64 Windows (unless optional dependencies are omitted); elsewhere install one from nodejs.org.",
	);
	process.exit(1);
}
