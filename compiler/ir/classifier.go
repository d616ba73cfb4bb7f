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
	c, err := m.Inference()
	if err != nil {
		return Classifier{}, err
	}
	var (
		scalar = T(F32)
		word   = T(U64)
		images = T(F32, m.Batch, c.Height, c.Width, c.Channels)
		labels = T(S32, m.Batch)
		loss   = T(F32, 2)
	)
	for _, want := range []struct {
		name   string
		params map[string]Type
	}{
		{"eval", map[string]Type{"images": images, "labels": labels}},
		{"train", map[string]Type{"images": images, "labels": labels, "lr": scalar, "seed": word, "step": word}},
	} {
		if err := m.checkFunc(want.name, want.params, loss); err != nil {
			return Classifier{}, m.noClassifier(err)
		}
	}
	return c, nil
}

// Inference is [Module.Classifier] of a module of which infer alone is asked for.
func (m *Module) Inference() (Classifier, error) {
	infer := m.Func("infer")
	if infer == nil {
		return Classifier{}, m.noClassifier(fmt.Errorf("it has no function infer"))
	}
	images := infer.Param("images")
	if images == nil || images.Type.DType != F32 || images.Type.Rank() != 4 {
		return Classifier{}, m.noClassifier(fmt.Errorf("infer takes no images"))
	}
	d := images.Type.Dims
	c := Classifier{Height: d[1], Width: d[2], Channels: d[3]}
	if len(infer.Returns) == 1 {
		c.Classes = infer.Returns[0].Type.Channels()
	}
	err := m.checkFunc("infer", map[string]Type{"images": T(F32, m.Batch, d[1], d[2], d[3])}, T(F32, m.Batch, 1, 1, c.Classes))
	if err != nil {
		return Classifier{}, m.noClassifier(err)
	}
	return c, nil
}

func (m *Module) noClassifier(why error) error {
	return fmt.Errorf("%s is no classifier of images: %w", m.Name, why)
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
