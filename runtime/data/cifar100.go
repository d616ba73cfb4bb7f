package data

// OpenCIFAR100 reads CIFAR-100 with its 100 fine classes from its official binary
// files train.bin and test.bin, which lie in dir or in dir/cifar-100-binary:
// 50,000 training and 10,000 test pictures of 32x32x3.
//
// Each file's size and every label are checked, and the MD5 sum of test.bin; the
// error names the file that is missing or damaged and says where to get it. No
// published MD5 sum of train.bin was found.
func OpenCIFAR100(dir string) (*Source, error) { return cifar100().open(dir, false) }

// OpenCIFAR100Test is OpenCIFAR100 of the test pictures alone: Train is nil.
func OpenCIFAR100Test(dir string) (*Source, error) { return cifar100().open(dir, true) }

// FindCIFAR100 returns the folder, dir or the one in it, that has the files of the right
// sizes. It reads none. A *MissingError says that they are not all there.
func FindCIFAR100(dir string) (string, error) { return cifar100().look(dir) }

// cifar100 describes CIFAR-100: a record has a coarse label, which nothing here
// uses, and a fine one.
func cifar100() cifarSet {
	return cifarSet{
		name:   "cifar100",
		labels: []int{20, 100},
		classes: []string{
			"apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
			"bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
			"chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
			"dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
			"lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
			"mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
			"plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
			"rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
			"squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
			"train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
		},
		folder:  "cifar-100-binary",
		archive: "cifar-100-binary.tar.gz",
		files: []binaryFile{
			{"train.bin", "", 50000},
			{"test.bin", "4499cfba6c016c1be1438163640a0898", 10000},
		},
	}
}
