// Command asm writes the assembly of the cpu target's microkernels and row
// functions: one file an instruction set, from one description.
//
//	go run ./asm -isa avx2 -out avx2_amd64.s -stubs avx2_amd64.go -pkg cpu
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	set := flag.NewFlagSet("asm", flag.ExitOnError) // the command line's own set is taken by avo
	name := set.String("isa", "avx2", "instruction set: avx2 or avx512")
	ctx := build.NewContext()
	flags := build.NewFlags(set)
	if err := set.Parse(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	t, err := describe(ctx, *name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	Emit(t)
	os.Exit(build.Main(flags.Config(), ctx))
}

// Emit writes every function of the instruction set into its context.
func Emit(t *target) {
	t.ConstraintExpr("amd64")
	t.conv()
	t.wgrad()
	t.elementwise()
	t.channelwise()
	t.reductions()
}
