// Command asm writes the assembly of the cpu target's microkernels and row
// functions: one file an instruction set, from one description.
//
//	go run ./asm -isa avx2 -out avx2_amd64.s -stubs avx2_amd64.go
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	set := flag.NewFlagSet("asm", flag.ExitOnError) // the command line's own set is taken by avo
	name := set.String("isa", "avx2", "instruction set: avx2 or avx512")
	out := set.String("out", "", "file for the assembly")
	stubs := set.String("stubs", "", "file for the Go declarations")
	if err := set.Parse(os.Args[1:]); err != nil {
		fail(err)
	}
	if *out == "" || *stubs == "" {
		fail(fmt.Errorf("both -out and -stubs are needed"))
	}
	if err := write(*name, *out, *stubs); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "asm:", err)
	os.Exit(2)
}

func write(name, out, stubs string) error {
	file, err := compile(name)
	if err != nil {
		return err
	}
	text, decls, err := texts(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(stubs, decls, 0o644)
}

// texts prints a compiled file as assembly and as Go declarations.
func texts(file *ir.File) (text, decls []byte, err error) {
	config := printer.Config{Name: "wrnc/kernels/cpu/asm", Pkg: "cpu"}
	if text, err = printer.NewGoAsm(config).Print(file); err != nil {
		return nil, nil, err
	}
	decls, err = printer.NewStubs(config).Print(file)
	return text, decls, err
}
