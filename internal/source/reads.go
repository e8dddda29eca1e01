package source

// Reads reports whether an expression may read a series with one of the names:
// it names one of them, or a selector of it that gives no name could match one.
// An expression that cannot be parsed is said to read them.
func Reads(expr string, names map[string]bool) bool {
	e, err := newParser().ParseExpr(expr)
	return err != nil || reachOf(e, names).own != ""
}
