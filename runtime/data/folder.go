package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is a folder of pictures of one's own: train has a folder for each class,
// and val, or test, has pictures of the same classes to measure with.
type Folder struct {
	// Classes are the names of train's folders, in order.
	Classes []string

	dir, test   string // test is "val" or "test"
	trainImages []labelled
	testImages  []labelled
	ignored     []string // files that are no pictures by their names
}

// labelled is a picture's file and its class.
type labelled struct {
	path  string
	label int32
}

// maxDepth bounds folders within a class's folder, which links may make endless.
const maxDepth = 8

// ScanFolder lists the pictures of a folder; it opens none. Pictures are the files
// with names that end in .jpg, .jpeg or .png, in whatever case, in a class's folder
// or in folders of it; names that begin with a dot are passed over.
func ScanFolder(dir string) (*Folder, error) {
	dir = filepath.Clean(dir)
	f := &Folder{dir: dir}
	var err error
	if f.Classes, err = foldersIn(filepath.Join(dir, "train")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no folder train in it; expected train and val (or test), each with a folder of JPEG or PNG pictures for every class", dir)
	} else if err != nil {
		return nil, err
	}
	if len(f.Classes) < 2 {
		return nil, fmt.Errorf("%s: it has %d folders; expected one for each class, at least 2", filepath.Join(dir, "train"), len(f.Classes))
	}
	classes, err := f.findTest()
	if err != nil {
		return nil, err
	}
	byClass := make([][]labelled, len(f.Classes))
	for label, class := range f.Classes {
		path := filepath.Join(dir, "train", class)
		if err := f.list(&byClass[label], path, int32(label), 0); err != nil {
			return nil, err
		}
		if len(byClass[label]) == 0 {
			return nil, fmt.Errorf("%s: there is no picture in it; expected files that end in .jpg, .jpeg or .png", path)
		}
	}
	f.trainImages = byTurns(byClass)
	for _, class := range classes {
		path := filepath.Join(dir, f.test, class)
		label := slices.Index(f.Classes, class)
		if label < 0 {
			return nil, fmt.Errorf("%s: this class is not in %s, which has %s", path, filepath.Join(dir, "train"), someOf(f.Classes))
		}
		if err := f.list(&f.testImages, path, int32(label), 0); err != nil {
			return nil, err
		}
	}
	if len(f.testImages) == 0 {
		return nil, fmt.Errorf("%s: there is no picture in it; expected a folder for each class with files that end in .jpg, .jpeg or .png", filepath.Join(dir, f.test))
	}
	return f, nil
}

// byTurns lists the first picture of every class, then the second, and so on, so
// that the first pictures of a set are of all classes.
func byTurns(byClass [][]labelled) []labelled {
	var all []labelled
	for i, more := 0, true; more; i++ {
		more = false
		for _, images := range byClass {
			if i < len(images) {
				all, more = append(all, images[i]), true
			}
		}
	}
	return all
}

// findTest settles on the folder to measure with and returns its classes.
func (f *Folder) findTest() ([]string, error) {
	for _, f.test = range []string{"val", "test"} {
		classes, err := foldersIn(filepath.Join(f.dir, f.test))
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return classes, err
		}
	}
	return nil, fmt.Errorf("%s: there is neither a folder val nor test in it; expected one, with a folder of JPEG or PNG pictures for every class", f.dir)
}

// foldersIn returns the names of the folders in dir, in order.
func foldersIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name())) // of what a link leads to
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// list appends the pictures in dir to images.
func (f *Folder) list(images *[]labelled, dir string, label int32, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("%s: folders lie within folders %d deep; expected pictures nearer to the top", dir, maxDepth)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		folder := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			folder = info.IsDir()
		}
		switch {
		case folder:
			if err := f.list(images, path, label, depth+1); err != nil {
				return err
			}
		case IsPicture(path):
			*images = append(*images, labelled{path, label})
		default:
			f.ignored = append(f.ignored, path)
		}
	}
	return nil
}

// IsPicture tells whether a file is a picture by its name: .jpg, .jpeg or .png.
func IsPicture(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".jpg" || ext == ".jpeg" || ext == ".png"
}

// ListPictures lists the pictures in a folder, and in folders of it, in order, by
// the rules of ScanFolder; it opens none. A folder without any is an error.
func ListPictures(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	var f Folder
	var images []labelled
	if err := f.list(&images, dir, 0, 0); err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%s: there is no picture in it; expected files that end in .jpg, .jpeg or .png", dir)
	}
	paths := make([]string, len(images))
	for i, image := range images {
		paths[i] = image.path
	}
	return paths, nil
}

// someOf lists names, but not hundreds of them.
func someOf(names []string) string {
	if len(names) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return strings.Join(names, ", ")
}

// Read decodes all pictures, h x w x 3. A picture of another size is scaled,
// bicubically, after its longer side has been cut to h:w around the middle; a note
// tells how many there were.
func (f *Folder) Read(h, w int) (*Source, error) { return f.read(h, w, f.trainImages) }

// ReadTest is Read of the pictures to measure with alone: Train is nil.
func (f *Folder) ReadTest(h, w int) (*Source, error) { return f.read(h, w, nil) }

func (f *Folder) read(h, w int, train []labelled) (*Source, error) {
	src := &Source{Notes: []string{fmt.Sprintf("%s has %d classes: %s", f.dir, len(f.Classes), someOf(f.Classes))}}
	var scaled int
	for _, part := range []struct {
		set    **Set
		name   string
		images []labelled
	}{{&src.Train, "train", train}, {&src.Test, f.test, f.testImages}} {
		if len(part.images) == 0 {
			continue
		}
		set := &Set{Name: filepath.Base(f.dir) + " " + part.name, Classes: f.Classes, H: h, W: w, C: 3}
		n, err := readPictures(set, part.images)
		if err != nil {
			return nil, err
		}
		*part.set = set
		scaled += n
	}
	if scaled > 0 {
		src.Notes = append(src.Notes, fmt.Sprintf("%d of the %d pictures in %s are not %dx%d: cut around the middle and scaled",
			scaled, len(train)+len(f.testImages), f.dir, w, h))
	}
	if len(f.ignored) > 0 {
		src.Notes = append(src.Notes, fmt.Sprintf("left out of %s, because not named .jpg, .jpeg or .png: %s", f.dir, someOf(f.ignored)))
	}
	return src, nil
}
