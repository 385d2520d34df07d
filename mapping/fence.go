package mapping

// Fence is what the rules of a file may name: sources, repositories, targets and jobs. What
// it does not list, they may not name.
type Fence struct {
	Name string // of its file

	Sources      []string
	Repositories []string // globs, compared without case
	Targets      []string
	Jobs         []string // ids
}
