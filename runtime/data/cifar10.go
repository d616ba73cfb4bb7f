package data

// OpenCIFAR10 reads CIFAR-10 from its six official binary files (data_batch_1.bin
// to data_batch_5.bin and test_batch.bin), which lie in dir or in
// dir/cifar-10-batches-bin: 50,000 training and 10,000 test pictures of 32x32x3.
//
// Each file's size and published MD5 sum are checked; the error names the file
// that is missing or damaged and says where to get it.
func OpenCIFAR10(dir string) (*Source, error) { return cifar10().open(dir, false) }

// OpenCIFAR10Test is OpenCIFAR10 of the test pictures alone: Train is nil.
func OpenCIFAR10Test(dir string) (*Source, error) { return cifar10().open(dir, true) }

// FindCIFAR10 returns the folder, dir or the one in it, that has the files of the right
// sizes. It reads none. A *MissingError says that they are not all there.
func FindCIFAR10(dir string) (string, error) { return cifar10().look(dir) }

// cifar10 describes CIFAR-10: a record has one label.
func cifar10() cifarSet {
	return cifarSet{
		name:    "cifar10",
		labels:  []int{10},
		classes: []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
		folder:  "cifar-10-batches-bin",
		archive: "cifar-10-binary.tar.gz",
		files: []binaryFile{
			{"data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25", 10000},
			{"data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692", 10000},
			{"data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421", 10000},
			{"data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb", 10000},
			{"data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d", 10000},
			{"test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d", 10000},
		},
	}
}
