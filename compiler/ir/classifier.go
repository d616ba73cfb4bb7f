package ir

import "fmt"

// Classifier is what a module that sorts images takes and gives.
type Classifier struct{ Height, Width, Channels, Classes int }

// Classifier returns the sizes of a module whose functions are those that are
// written for every network,
//
//	train(images, labels, lr, seed, step)   the sum of the losses and the number of mistakes
//	eval(images, labels)                    the same
//	infer(images)                           the logits
//
// and the reason where it has others.
func (m *Module) Classifier() (Classifier, error) {
	fail := func(err error) (Classifier, error) {
		return Classifier{}, fmt.Errorf("%s is no classifier of images: %w", m.Name, err)
	}
	infer := m.Func("infer")
	if infer == nil {
		return fail(fmt.Errorf("it has no function infer"))
	}
	images := infer.Param("images")
	if images == nil || images.Type.DType != F32 || images.Type.Rank() != 4 {
		return fail(fmt.Errorf("infer takes no images"))
	}
	d := images.Type.Dims
	c := Classifier{Height: d[1], Width: d[2], Channels: d[3]}
	if len(infer.Returns) == 1 {
		c.Classes = infer.Returns[0].Type.Channels()
	}
	var (
		scalar = T(F32)
		word   = T(U64)
		labels = T(S32, m.Batch)
		loss   = T(F32, 2)
	)
	for _, want := range []struct {
		name   string
		params map[string]Type
		result Type
	}{
		{"infer", map[string]Type{"images": images.Type}, T(F32, m.Batch, 1, 1, c.Classes)},
		{"eval", map[string]Type{"images": images.Type, "labels": labels}, loss},
		{"train", map[string]Type{"images": images.Type, "labels": labels, "lr": scalar, "seed": word, "step": word}, loss},
	} {
		if err := m.checkFunc(want.name, want.params, want.result); err != nil {
			return fail(err)
		}
	}
	return c, nil
}

// checkFunc compares a function's parameters and its one result with what they
// should be. A parameter that it does not need may be missing.
func (m *Module) checkFunc(name string, params map[string]Type, result Type) error {
	f := m.Func(name)
	if f == nil {
		return fmt.Errorf("it has no function %s", name)
	}
	for _, p := range f.Params {
		want, known := params[p.Name]
		if !known {
			return fmt.Errorf("%s takes %%%s, of which nothing is known", name, p.Name)
		}
		if !p.Type.Equal(want) {
			return fmt.Errorf("%s takes %%%s as %v, expected %v", name, p.Name, p.Type, want)
		}
	}
	if len(f.Returns) != 1 || !f.Returns[0].Type.Equal(result) {
		return fmt.Errorf("%s does not return one %v", name, result)
	}
	return nil
}
